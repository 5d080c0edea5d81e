"""Names of boxes cover no other name, and stay inside the picture."""

import numpy as np
import pytest
from PIL import Image

from resnext_det.evaluation.drawing import CLASS_COLORS, NamedBox, draw_classes
from resnext_det.evaluation.name_places import Area, free_area

SIZE = (200.0, 100.0)
NAME = (60.0, 20.0)


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((50.0, 40.0, 80.0, 30.0), (50.0, 20.0)),  # above
        ((50.0, 10.0, 80.0, 60.0), (50.0, 10.0)),  # no room above: in it, at its top
        ((180.0, 40.0, 30.0, 30.0), (140.0, 20.0)),  # moved to the left
        ((-9.0, -9.0, 300.0, 300.0), (0.0, 0.0)),  # beyond the picture
    ],
    ids=["above", "in", "left", "beyond"],
)
def test_an_empty_picture_has_room(box: Area, place: tuple[float, float]) -> None:
    assert free_area(box, NAME, SIZE, []) == (*place, *NAME)


def test_names_of_one_box_fill_its_places_and_then_none_is_left() -> None:
    taken: list[Area] = []
    while (area := free_area((20, 30, 150, 40), NAME, SIZE, taken)) is not None:
        taken.append(area)
    assert len(taken) == 8  # at both edges: above, at the top, at the bottom, below
    canvas = np.zeros((100, 200), int)
    for x, y, w, h in taken:
        canvas[int(y) : int(y + h), int(x) : int(x + w)] += 1
    assert canvas.max() == 1
    assert canvas.sum() == 8 * 60 * 20


def test_where_there_is_no_room_the_last_boxes_name_is_written() -> None:
    image = Image.new("RGB", (80, 20))
    box = NamedBox((0, 0, 79, 19), "a long name")
    drawn = np.asarray(draw_classes(image, [box, box], [1, 0]))
    grounds = [tuple(int(color[i : i + 2], 16) for i in (1, 3, 5)) for color in CLASS_COLORS[:2]]
    numbers = [(drawn[4:-4, 4:-4] == ground).all(axis=2).sum() for ground in grounds]
    assert numbers[0] > 100
    assert numbers[1] == 0


def test_a_name_larger_than_the_picture_is_cut() -> None:
    assert free_area((0, 0, 5, 5), NAME, (5.0, 5.0), []) == (0.0, 0.0, *NAME)
