"""From a trained detector and images to what is found in them. Engine-neutral."""
