"""Arrays of the typed parser against those of the careful readers, and what it leaves to them."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnext_det.errors import UserError
from resnext_det.evaluation import box_arrays, typed_json
from resnext_det.evaluation.box_arrays import read_rows, read_truth

pytest.importorskip("msgspec", reason="needs msgspec, the typed parser")
Vectors = Callable[..., tuple[Path, Path]]


@pytest.mark.parametrize("case", [{}, {"crowd_share": 0.4, "with_area": False}, {"max_boxes": 0}])
def test_both_readers_give_the_same(
    case: dict[str, Any], make_vector: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    gt, dt = make_vector(seed=1, **case)
    assert typed_json.decode_truth(gt) is not None
    assert typed_json.decode_results(dt) is not None
    typed = read_truth(gt)
    typed_rows = read_rows(dt, typed)
    monkeypatch.setattr(box_arrays, "decode_truth", lambda path: None)
    monkeypatch.setattr(box_arrays, "decode_results", lambda path: None)
    careful = read_truth(gt)
    for field in fields(typed):
        first, second = getattr(typed, field.name), getattr(careful, field.name)
        if isinstance(first, np.ndarray):
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second)
        else:
            assert first == second, field.name
    np.testing.assert_array_equal(typed_rows, read_rows(dt, careful))


def test_numbers_are_read_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(4000) * 10.0 ** np.arange(-20, 20).repeat(100)
    values[:3] = 5e-324, 0.1, 1.7976931348623157e308
    records = [
        {"image_id": 1, "category_id": 2, "bbox": box, "score": box[0]}
        for box in values.reshape(-1, 4).tolist()
    ]
    (tmp_path / "dt.json").write_text(json.dumps(records))
    found = typed_json.decode_results(tmp_path / "dt.json")
    assert found is not None
    np.testing.assert_array_equal(found.boxes.ravel(), values)


GT = {
    "images": [{"id": 4}],
    "categories": [{"id": 3, "name": "cell"}],
    "annotations": [{"id": 1, "image_id": 4, "category_id": 3, "bbox": [0, 0, 40, 40]}],
}
RECORD = {"image_id": 4, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"image_id": 4, "image_id": 4}]', "the key 'image_id' is written twice"),
        (json.dumps([{**RECORD, "score": float("nan")}]), "not finite"),
        (json.dumps([{**RECORD, "score": True}]), "True is no number"),
        (json.dumps([{**RECORD, "image_id": 5}]), "record 0 has image_id 5"),
        (json.dumps([{**RECORD, "category_id": 9}]), "record 0 has category_id 9"),
        (json.dumps([{**RECORD, "bbox": [0, 0, -1, 5]}]), "negative width or height"),
        ("[[1]]", "record 0 is not a COCO box result"),
        ("{}", "COCO results are a list of records"),
        ('[{"image_id": 4', "not JSON, or cut off"),
        ("[" * 5000, "nested too deep"),
    ],
    ids=lambda value: value[:24],
)
def test_what_is_not_plain_gets_the_careful_readers_line(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "gt.json").write_text(json.dumps(GT))
    (tmp_path / "dt.json").write_text(text)
    truth = read_truth(tmp_path / "gt.json")
    with pytest.raises(UserError, match="dt.json") as caught:
        read_rows(tmp_path / "dt.json", truth)
    assert message in str(caught.value)


@pytest.mark.parametrize("ids", [["a", "b"], [2**70, 1]], ids=["text", "large"])
def test_ids_that_are_no_small_numbers_are_read_carefully(ids: list[Any], tmp_path: Path) -> None:
    gt = {**GT, "images": [{"id": key} for key in ids], "annotations": []}
    (tmp_path / "gt.json").write_text(json.dumps(gt))
    (tmp_path / "dt.json").write_text(json.dumps([{**RECORD, "image_id": ids[1]}]))
    truth = read_truth(tmp_path / "gt.json")
    assert read_rows(tmp_path / "dt.json", truth)[0, 0] == sorted(ids).index(ids[1])


def test_an_image_that_is_there_twice_is_one(tmp_path: Path) -> None:
    (tmp_path / "gt.json").write_text(json.dumps({**GT, "images": [{"id": 4}, {"id": 4}]}))
    assert read_truth(tmp_path / "gt.json").image_ids == (4,)
