"""One reader for each form of weights file; none executes anything. Engine-neutral."""
