"""A check gives each oddity the answer that a run gives it, and --fix mends it or tells it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.checking.check import CheckOptions, check_sets
from resnext_det.data.checking.mending import Mended, mend_sets
from resnext_det.data.coco import load_coco
from resnext_det.errors import UserError
from tests.data.annotation_answers import Case
from tests.data.answer_cases import CASES, fix_of

Writer = Callable[..., tuple[Path, Path]]


def spoilt(case: Case, write_coco: Writer, content: dict[str, Any]) -> DatasetEntry:
    text = case.spoil(content)
    return DatasetEntry("set", *write_coco(content, text=text))


def options_of(case: Case) -> CheckOptions:
    return CheckOptions(needs=case.needs, processes=1, **dict.fromkeys(case.options, True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_check_says_what_a_run_says(
    case: Case, write_coco: Writer, coco_content: dict[str, Any], tmp_path: Path
) -> None:
    entry, options = spoilt(case, write_coco, coco_content), options_of(case)
    result = check_sets([entry], options)
    noted = {finding.kind for finding in result.findings if not finding.is_problem}
    assert bool(result.num_problems) == (case.answer == "refused")
    assert all(f.advice for f in result.findings if f.is_problem)
    if case.answer == "mended":
        assert noted & {"number_as_text", "id_given", "separators"}
    if case.answer == "told":
        assert noted
    (fixed,) = mend_sets(result, tmp_path / "fixed", options)
    assert what_became(fixed) == fix_of(case)
    assert all(finding.advice for finding in fixed.left)
    if fixed.written is None:
        return
    json.loads(fixed.written.read_text())
    again = DatasetEntry("set", fixed.written, entry.image_root)
    given = dict.fromkeys(case.options, True)
    if fixed.left:
        with pytest.raises(UserError):
            load_coco(again, training=True, needs=case.needs, **given)
        return
    load_coco(again, training=True, needs=case.needs, **given)
    assert [*check_sets([again], options).sets[0].slips] == []


def what_became(fixed: Mended) -> str:
    if fixed.written is None:
        return "no copy"
    if fixed.left:
        return "left"
    return "mended" if fixed.log.counts else ""
