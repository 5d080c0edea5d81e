"""What each project says of its weights, read from its own files. Engine-neutral."""
