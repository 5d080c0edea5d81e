"""The JSON files that a study keeps of itself, read in one way. Engine-neutral."""

import json
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError


def read_kept(path: Path) -> dict[str, Any] | None:
    """Returns what a file of the study's folder says.

    Returns:
        None where there is no such file; nothing, {}, where it holds no JSON object.

    Raises:
        UserError: it cannot be read, or is no JSON.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}): give another --output") from error
    return content if isinstance(content, dict) else {}
