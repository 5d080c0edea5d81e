"""A detector in one file for other runtimes, from image to boxes, proven equal. Engine-neutral."""
