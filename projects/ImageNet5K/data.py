"""The mini scale's data: ten digits to train on, six of them to be scored on. Engine-neutral."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from projects.studies.classification.mini import MiniData

NUM_OWN = 6  # more than five, or top-5 among them would always be right


def some_classes(data: MiniData, folder: Path) -> MiniData:
    """Returns the data with a test set of the first six of its classes only.

    Args:
        data: with a test set of more classes.
        folder: that the smaller test set is made in, whole or not at all, unless it is there.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as parent:
            made = Path(parent) / folder.name
            for kept in sorted(p for p in Path(data.test).iterdir() if p.is_dir())[:NUM_OWN]:
                shutil.copytree(kept, made / kept.name)
            made.rename(folder)
    words = f"{data.description} The test set has the first {NUM_OWN} of the ten classes only."
    return replace(data, test=str(folder), description=words)
