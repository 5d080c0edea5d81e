"""Result files: result.json of a run or a study to its page. Engine-neutral.

The input is result.json; or an object whose keys are names of files, from which the files beside it
are written as well: a run's metrics.json, the COCO results and annotations that older studies have
beside them.
"""

import json
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from resnext_det.errors import UserError, one_line
from resnext_det.reports.html import write_report
from resnext_det.reports.study import read_study
from tests.fuzzing.harness import Harness
from tests.fuzzing.mutations import mutate_json, written

_RESULT = "result.json"
_BESIDE = (
    "annotations.json",
    "run/metrics.json",
    "run/inference/coco_instances_results.json",
    "inference/coco_instances_results.json",
)
_RUNS_CODE = ("script", "iframe", "object", "embed", "link", "base", "form", "meta http-equiv")
_ADDRESSES = ("src", "href", "xlink:href", "action", "data", "srcset")


def read(data: bytes, folder: Path, thorough: bool) -> None:
    """Writes the page of a result file.

    Raises:
        UserError: the file is refused.
        AssertionError: the page holds what could run or be fetched.
    """
    _write_files(data, folder)
    try:
        read_study(folder / _RESULT)
        if not thorough:
            return
        page = write_report(folder / _RESULT)
    except UserError as error:
        one_line(str(error)).encode()
        raise
    checker = _Page()
    checker.feed(page.read_text("utf-8"))
    checker.close()


def _write_files(data: bytes, folder: Path) -> None:
    for place in ("run/inference", "inference", "images"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 16), (9, 99, 199)).save(folder / "images" / "a.png")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not (isinstance(content, dict) and _RESULT in content):
        (folder / _RESULT).write_bytes(data)
        return
    for name in (_RESULT, *_BESIDE):
        if name in content:
            value = content[name]  # metrics.json has a value on each line
            lines = value if name.endswith("metrics.json") and isinstance(value, list) else [value]
            (folder / name).write_bytes(b"\n".join(map(written, lines)))


class _Page(HTMLParser):
    """Checks a page: no tag and no attribute that runs or fetches something."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        assert tag not in _RUNS_CODE, f"the page has a <{tag}>"
        assert "http-equiv" not in named or tag == "meta", "the page has an http-equiv"
        for name, value in named.items():
            assert not name.startswith("on"), f"the page has {name}="
            inside = (value or "").strip().lower().startswith(("data:image/", "#"))
            assert name not in _ADDRESSES or inside, f"the page fetches {value!r}"


HARNESS = Harness(read, mutate_json, every=6)
