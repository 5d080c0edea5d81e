"""`resnext-det dataset prepare KIND`: one module per kind. Engine-neutral."""
