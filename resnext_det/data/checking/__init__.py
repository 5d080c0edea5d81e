"""What `resnext-det dataset check` looks at: annotations, pixels, twins, counts. Engine-neutral.

`check.py` is the way through: each set becomes a `CheckedSet` of images and objects, every image is
decoded once, and what was found is a list of `Finding`s.
"""
