"""Sentences on a study's numbers, and whether each is met. Engine-neutral."""

from collections.abc import Callable, Mapping
from typing import Any

Finding = dict[str, Any]
"""{"text": a sentence, "passed": True, False, or None where there is nothing to meet}."""

FindingsOf = Callable[[Mapping[str, Any]], list[Finding]]
"""The content of a study's result.json, its findings apart -> sentences of its own."""

MAIN_METRICS = {"detection": "AP", "classification": "top1"}


def finding(text: str, passed: bool | None = None) -> Finding:
    """Returns a sentence and whether it is met."""
    return {"text": text, "passed": passed}


def difference_findings(content: Mapping[str, Any]) -> list[Finding]:
    """Says of each pair how its main metric differs: what a study says unless it says its own."""
    metric = MAIN_METRICS[content["kind"]]
    return [finding(d["text"]) for d in content["differences"] if d["metric"] == metric]
