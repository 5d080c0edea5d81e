"""Runs jobs as processes or through SLURM, and shows how far each is. Engine-neutral."""
