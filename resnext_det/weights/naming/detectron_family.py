"""What Detectron's and Detectron2's published networks have in common. Engine-neutral."""

from resnext_det.weights.architecture import Architecture

# BGR, 0-255 units: detectron2/config/defaults.py.
PIXEL_MEAN = (103.53, 116.28, 123.675)
PIXEL_STD = (57.375, 57.12, 58.395)
STD_IN_STEM = (1.0, 1.0, 1.0)  # "std has been absorbed into its conv1 weights"
_DEPTHS: dict[tuple[int, ...], int] = {
    (3, 4, 6): 50,
    (3, 4, 6, 3): 50,
    (3, 4, 23): 101,
    (3, 4, 23, 3): 101,
    (3, 8, 36): 152,
    (3, 8, 36, 3): 152,
}


def published_depth(architecture: Architecture) -> int | None:
    """Returns the depth by name, 50, 101 or 152, also where res5 is left out; or None."""
    counts = tuple(count for _, count in architecture.blocks)
    return _DEPTHS.get(counts) if architecture.bottleneck else None
