"""Where a box's name stands, so that no name covers another. Engine-neutral."""

from collections.abc import Iterator, Sequence

Area = tuple[float, float, float, float]
"""x, y, w, h in pixels."""


def free_area(
    box: Area, name: tuple[float, float], size: tuple[float, float], taken: Sequence[Area]
) -> Area | None:
    """Finds a place for a name above, in or below its box.

    Args:
        box: in the picture.
        name: width and height of the name.
        size: width and height of the picture.
        taken: where other names stand.

    Returns:
        The first place that is free; None where there is none. In an empty picture there is one.
    """
    for area in _areas(box, name, size):
        if not any(_overlap(area, other) for other in taken):
            return area
    return None


def _areas(box: Area, name: tuple[float, float], size: tuple[float, float]) -> Iterator[Area]:
    """Yields places inside the picture, the best first: at the left edge of the box, the right."""
    x, y, width, height = box
    w, h = name
    lowest, rightmost = max(0.0, size[1] - h), max(0.0, size[0] - w)
    for left in (x, x + width - w):
        left = min(max(0.0, left), rightmost)
        for top in (y - h, y, y + height - h, y + height):
            if 0 <= top <= lowest:
                yield left, top, w, h
    yield min(max(0.0, x), rightmost), min(max(0.0, y), lowest), w, h


def _overlap(one: Area, other: Area) -> bool:
    (x, y, w, h), (u, v, a, b) = one, other
    return x < u + a and u < x + w and y < v + b and v < y + h
