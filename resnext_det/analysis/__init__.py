"""What a results file says beside its annotations: errors, thresholds, images. Engine-neutral."""
