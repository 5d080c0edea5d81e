"""Each oddity of an annotation file has its answer, and the document tells them. Engine-neutral."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import load_coco
from resnext_det.data.coco_survey import survey
from resnext_det.errors import UserError, one_line
from tests.data.annotation_answers import Case
from tests.data.answer_cases import CASES
from tools.annotation_answers import DOCUMENT, answers_table

Writer = Callable[..., tuple[Path, Path]]
QUIET = ("taken",)
NOT_OF_THE_FILE = (
    "another size than the file on disk",
    "listed, not on disk",
    "no annotations, in training",
    "a key twice in one object",  # seen while the text is read
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_answer_is_given(
    case: Case,
    write_coco: Writer,
    coco_content: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = case.spoil(coco_content)
    entry = DatasetEntry("set", *write_coco(coco_content, text=text))
    options = dict.fromkeys(case.options, True)
    caplog.set_level(logging.INFO)
    if case.answer == "refused":
        with pytest.raises(UserError) as error:
            load_coco(entry, training=True, needs=case.needs, **options)
        assert case.says in str(error.value)
        assert "\n" not in one_line(str(error.value))
        assert str(entry.json_file) in str(error.value) or entry.image_root.name in str(error.value)
        return
    dataset = load_coco(entry, training=True, needs=case.needs, **options)
    assert len(dataset.records) == len(coco_content["images"])
    if case.answer in QUIET:
        assert caplog.messages == []
    else:
        (line,) = caplog.messages
        assert case.says in line
        assert "\n" not in line
        assert ("mended in memory" in line) == (case.answer == "mended")


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.answer == "refused" and c.what not in NOT_OF_THE_FILE and not c.options],
    ids=lambda case: case.id,
)
def test_the_survey_has_what_loading_refuses(case: Case, coco_content: dict[str, Any]) -> None:
    text = case.spoil(coco_content)
    try:
        content = coco_content if text is None else json.loads(text)
    except (ValueError, RecursionError):
        pytest.skip("not JSON: nothing to survey")
    lines = [p.line(Path("a.json")) for p in survey("a.json", content, needs=case.needs)]
    assert any(case.says in line for line in lines)


def test_the_document_tells_them() -> None:
    """`python -m tools.annotation_answers --write` brings it up to date."""
    assert f"\n{answers_table()}\n" in DOCUMENT.read_text("utf-8")
