"""Training loop, schedule, checkpoints and start-up of a run. Engine-neutral."""
