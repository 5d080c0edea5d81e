"""Files of a bundle, known without torch. Engine-neutral."""

import os
from pathlib import Path

from resnext_det.errors import UserError

FOLDER = "non_finite"
FACTS, CONFIG, MODEL = "bundle.json", "config.yaml", "model.safetensors"


def check_is_bundle(folder: Path) -> None:
    """Checks that a folder may be a bundle.

    Raises:
        UserError: it is not there or has no `bundle.json`.
    """
    if not os.path.lexists(folder / FACTS):
        raise UserError(
            f"{folder}: is no bundle, it has no {FACTS}: name a folder {FOLDER}/iter_… of a run"
        )
