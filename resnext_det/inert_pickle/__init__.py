"""Pickles read as data, by a machine that imports and calls nothing. Engine-neutral."""
