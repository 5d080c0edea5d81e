"""JSON files, read with one line for each thing that can be wrong. Engine-neutral."""

import json
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError


def read_json(path: Path) -> Any:
    """Reads a JSON file in any of JSON's encodings.

    Raises:
        UserError: it cannot be read, is not JSON, or is cut off.
    """
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not JSON, or cut off: {error.msg} at line {error.lineno} column {error.colno}"
        ) from error
    except (ValueError, RecursionError) as error:  # no text, or a number of thousands of digits
        raise UserError(f"{path}: not a JSON text file ({type(error).__name__})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
