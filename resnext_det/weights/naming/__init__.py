"""One table of names for each source of weights, from theirs to ours and back. Engine-neutral."""
