"""What a detector is run with: layout, precision, folded norms, compiled code. Engine-neutral."""
