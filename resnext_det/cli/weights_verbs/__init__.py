"""What `resnext-det weights` does, one module for each action. Engine-neutral."""
