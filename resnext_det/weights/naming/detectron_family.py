"""What Detectron's and Detectron2's published networks have in common. Engine-neutral."""

# BGR, 0-255 units: detectron2/config/defaults.py.
PIXEL_MEAN = (103.53, 116.28, 123.675)
PIXEL_STD = (57.375, 57.12, 58.395)
STD_IN_STEM = (1.0, 1.0, 1.0)  # "std has been absorbed into its conv1 weights"
