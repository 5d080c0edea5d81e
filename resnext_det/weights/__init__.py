"""Reading weights of other projects and our own into our models. Engine-neutral."""
