"""The JSON of a check. Engine-neutral.

    {"schema": 1,
     "datasets": [{"name", "annotations": path or null, "images": path or address,
                   "facts": the fields of `SetFacts`}, …],
     "findings": [{"dataset", "level": "problem" or "note", "kind", "where", "image", "image_id",
                   "other", "reason", "advice"}, …],
     "counts": [{"dataset", "kind", "level", "count"}, …],
     "problems": number, "notes": number,
     "thresholds": {"near_distance": bits of 64, "near_correlation": 0 … 1},
     "fixes": [{…, see `mending`}, …]}

"kind" is the value of a `ProblemKind` or a `CheckKind`. "image" is the name in the annotation file,
or the image's path or place in a shard. "other" is set of twins alone: "NAME: image". Lists are in
the order of the command and the files; two runs on the same files give the same bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from resnext_det.data.checking.check import CheckResult
from resnext_det.data.checking.findings import group_findings
from resnext_det.data.checking.twins import MAX_DISTANCE, MIN_CORRELATION

SCHEMA = 1


def check_json_of(result: CheckResult, fixes: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Returns what the JSON of a check holds.

    Args:
        result: the check.
        fixes: what `--fix` did to each set.
    """
    return {
        "schema": SCHEMA,
        "datasets": [
            {
                "name": checked.name,
                "annotations": _text(checked.entry.json_file),
                "images": checked.entry.location,
                "facts": facts.as_json(),
            }
            for checked, facts in zip(result.sets, result.facts, strict=True)
        ],
        "findings": [finding.as_json() for finding in result.findings],
        "counts": [
            {
                "dataset": group.dataset,
                "kind": group.kind,
                "level": "problem" if group.is_problem else "note",
                "count": len(group.findings),
            }
            for group in group_findings(result.findings)
        ],
        "problems": result.num_problems,
        "notes": len(result.findings) - result.num_problems,
        "thresholds": {"near_distance": MAX_DISTANCE, "near_correlation": MIN_CORRELATION},
        "fixes": list(fixes),
    }


def _text(path: Any) -> str | None:
    return None if path is None else str(path)
