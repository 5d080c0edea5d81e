"""Detections as supervision's and as a table, by the real packages where they are installed."""

import sys

import numpy as np
import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.inference.conversions import COLUMNS, to_pandas, to_supervision
from resnext_det.structures import Detections

FOUND = Detections(
    torch.tensor([[1.0, 2.0, 11.0, 22.0], [3.0, 4.0, 5.0, 6.0]]),
    torch.tensor([0.75, 0.5]),
    torch.tensor([1, 0]),
    ("red", "green"),
)
EMPTY = Detections.empty(("red", "green"))


def test_supervision() -> None:
    sv = pytest.importorskip("supervision", reason="needs supervision (pip install supervision)")
    found = to_supervision(FOUND)
    assert isinstance(found, sv.Detections)
    assert np.array_equal(found.xyxy, FOUND.boxes.numpy())
    assert found.confidence is not None
    assert found.class_id is not None
    assert found.confidence.tolist() == [0.75, 0.5]
    assert found.class_id.tolist() == [1, 0]
    assert found["class_name"].tolist() == ["green", "red"]
    assert found.area.tolist() == [200.0, 4.0]
    assert found[found.confidence > 0.6]["class_name"].tolist() == ["green"]
    assert len(to_supervision(EMPTY)) == 0
    assert to_supervision(Detections(*_bare()))["class_name"].tolist() == ["class 1", "class 0"]


def test_pandas() -> None:
    pytest.importorskip("pandas", reason="needs pandas (pip install pandas)")
    table = to_pandas([FOUND, EMPTY, FOUND], images=["a.jpg", "b.jpg", "c.jpg"])
    assert tuple(table.columns) == COLUMNS
    assert table["image"].tolist() == ["a.jpg", "a.jpg", "c.jpg", "c.jpg"]
    assert table["class_name"].tolist() == ["green", "red"] * 2
    assert table.iloc[0][["score", "x0", "y0", "x1", "y1"]].tolist() == [0.75, 1, 2, 11, 22]
    assert table.groupby("class_name")["score"].max().to_dict() == {"green": 0.75, "red": 0.5}
    assert to_pandas(FOUND)["image"].tolist() == [0, 0]
    for empty in (EMPTY, [], [EMPTY]):
        assert tuple(to_pandas(empty).columns) == COLUMNS
        assert len(to_pandas(empty)) == 0
    with pytest.raises(UserError, match="2 images are named, but 1 have detections"):
        to_pandas(FOUND, images=["a", "b"])


@pytest.mark.parametrize(
    ("package", "convert"),
    [("supervision", to_supervision), ("pandas", to_pandas)],
    ids=["supervision", "pandas"],
)
def test_a_package_that_is_absent_is_named(
    package: str, convert: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"^{package} is not installed: pip install {package} \(or 'resnext-det\[{package}\]"
    with pytest.raises(UserError, match=message):
        convert(FOUND)  # pyright: ignore[reportCallIssue]


def _bare() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return FOUND.boxes, FOUND.scores, FOUND.classes
