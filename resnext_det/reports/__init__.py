"""Tables, curves, pictures and pages made from result JSON alone. Engine-neutral."""
