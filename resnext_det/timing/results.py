"""Results files of timed studies: JSON with one line for each round. Engine-neutral."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnext_det.training.result import finite_or_null
from resnext_det.whole_files import write_text_safe


def write_results(path: Path, result: Mapping[str, Any]) -> None:
    """Writes a study's results, with null for what is not finite; folders are made."""
    write_text_safe(path, as_text(finite_or_null(result)) + "\n")


def as_text(value: Any, indent: str = "") -> str:
    """Returns JSON in which objects and lists of plain values have one line each."""
    inner = indent + " "
    if isinstance(value, dict) and _holds_more(value.values()):
        items = [f"{json.dumps(key)}: {as_text(item, inner)}" for key, item in value.items()]
        return _block("{", items, "}", indent)
    if isinstance(value, list) and _holds_more(value):
        return _block("[", [as_text(item, inner) for item in value], "]", indent)
    return json.dumps(value, allow_nan=False)


def _holds_more(values: Any) -> bool:
    return any(isinstance(value, dict | list) and value for value in values)


def _block(opening: str, items: list[str], closing: str, indent: str) -> str:
    lines = f",\n{indent} ".join(items)
    return f"{opening}\n{indent} {lines}\n{indent}{closing}"
