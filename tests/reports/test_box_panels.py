"""Boxes side by side as SVG."""

import xml.etree.ElementTree as ElementTree

from resnext_det.reports.box_panels import panels
from resnext_det.reports.study_entries import PictureSide, StudyBox, StudyPicture


def picture(*boxes: StudyBox) -> StudyPicture:
    side = PictureSide("ours <b>", 3, 41.6, boxes)
    truth = (StudyBox((10, 20, 30, 40), "cell", None),)
    return StudyPicture("a.jpg", 200, 100, "data:image/png;base64,AAAA", truth, (side, side))


def rects(svg: str, kind: str) -> list[dict[str, str]]:
    root = ElementTree.fromstring(svg)
    return [element.attrib for element in root.iter("rect") if element.attrib["class"] == kind]


def test_boxes_are_where_they_are_in_a_panel_of_400() -> None:
    """The image is shown twice as large."""
    truth, first, second = panels(picture(StudyBox((5, 10, 20, 30), "cell", 0.9)), 7)
    (box,) = rects(truth.svg, "truth")
    assert (box["x"], box["y"], box["width"], box["height"]) == ("20.0", "40.0", "60.0", "80.0")
    (box,) = rects(first.svg, "found")
    assert (box["x"], box["y"], box["width"], box["height"]) == ("10.0", "20.0", "40.0", "60.0")
    assert rects(first.svg, "sought") == [
        {"class": "sought", "x": "20.0", "y": "40.0", "width": "60.0", "height": "80.0"}
    ]
    assert 'viewBox="0 0 400 200"' in truth.svg
    assert 'id="picture-7"' in truth.svg
    assert '<use href="#picture-7"/>' in second.svg
    assert first.caption == "ours <b>, seed 3: F1 42 %"
    assert (truth.words, first.words) == ("1 cell", "1 cell")


def test_low_scores_are_not_drawn_and_no_boxes_leave_a_picture() -> None:
    _, side, _ = panels(picture(StudyBox((5, 10, 20, 30), "cell", 0.49)), 0)
    assert rects(side.svg, "found") == []
    assert side.words == "no box"


def test_names_cover_no_other_name_and_stay_inside() -> None:
    many = [StudyBox((150 + i, 2 + i, 40, 30), f"a long name {i}", 0.9) for i in range(9)]
    _, side, _ = panels(picture(*many), 0)
    assert len(rects(side.svg, "found")) == 9
    names = [
        tuple(float(name[key]) for key in ("x", "y", "width", "height"))
        for name in rects(side.svg, "found name")
    ]
    assert 0 < len(names) < 9
    for index, (x, y, w, h) in enumerate(names):
        assert x >= 0
        assert y >= 0
        assert x + w <= 400.1
        assert y + h <= 200
        for ox, oy, ow, oh in names[:index]:
            assert (
                x + w <= ox + 0.1 or ox + ow <= x + 0.1 or y + h <= oy + 0.1 or oy + oh <= y + 0.1
            )


def test_names_cannot_become_markup() -> None:
    _, side, _ = panels(picture(StudyBox((5, 30, 20, 30), "<script>", 0.9)), 0)
    assert "<script" not in side.svg
    assert "&lt;script&gt; 90" in side.svg
