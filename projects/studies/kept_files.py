"""The JSON files that a study keeps of itself, read in one way. Engine-neutral."""

from pathlib import Path
from typing import Any

from resnext_det.errors import UserError
from resnext_det.json_files import read_json


def read_kept(path: Path) -> dict[str, Any] | None:
    """Returns what a file of the study's folder says.

    Returns:
        None where there is no such file; nothing, {}, where it holds no JSON object.

    Raises:
        UserError: it cannot be read, or is no JSON.
    """
    try:
        if not path.exists():
            return None
        content = read_json(path)
    except (OSError, UserError) as error:
        raise UserError(f"{path}: cannot be read ({error}): give another --output") from error
    return content if isinstance(content, dict) else {}
