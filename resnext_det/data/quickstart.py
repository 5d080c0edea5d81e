"""The quickstart's two data sets, made from what installed packages ship. Engine-neutral.

A detection set in COCO format (scenes) and a classification set in folders (crops), both
of handwritten digits on photographs. No scan and no part of a photograph is in both a
training and a held-out set, of either kind.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.digits import CLASS_NAMES, Split
from resnext_det.data.scenes import Scene, ScenePainter, SceneStyle
from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed

_MANIFEST = "manifest.json"
_FORMAT = 2
"""Raised whenever the same parameters would give other pictures."""

_SPLITS: tuple[Split, ...] = ("train", "val")
_KNOWN = {_MANIFEST, "train", "val", "train.json", "val.json"}


@dataclass(frozen=True)
class QuickstartParams:
    """What is made.

    Attributes:
        train_scenes: training pictures of the detection set.
        val_scenes: its held-out pictures.
        train_crops: training pictures of the classification set, evenly over ten classes.
        val_crops: its held-out pictures.
        scene: how scenes look.
        crop: how crops look.
        seed: the number that every draw comes from.
    """

    train_scenes: int = 800
    val_scenes: int = 150
    train_crops: int = 4000
    val_crops: int = 1000
    scene: SceneStyle = field(default_factory=SceneStyle)
    crop: SceneStyle = field(
        default_factory=lambda: SceneStyle(
            size=32, digits=(1, 1), digit_size=(18, 30), cut=(32, 64), centre=True
        )
    )
    seed: int = 0


@dataclass(frozen=True)
class QuickstartData:
    """Where the sets lie.

    Attributes:
        scenes_train: detection, training.
        scenes_val: detection, held out.
        crops_train: classification, training.
        crops_val: classification, held out.
        made: whether anything had to be made; False where all was there.
        description: what the sets are, in one or two sentences for a report.
    """

    scenes_train: DatasetEntry
    scenes_val: DatasetEntry
    crops_train: DatasetEntry
    crops_val: DatasetEntry
    made: bool
    description: str


def build_quickstart_data(
    root: Path | str,
    *,
    seed: int = 0,
    params: QuickstartParams | None = None,
    ready: Path | None = None,
) -> QuickstartData:
    """Makes both sets below a folder, unless they are there with the same parameters.

    Each set appears whole or not at all: it is made under another name and renamed last.

    Args:
        root: the folder; made where it is missing.
        seed: the number that every draw comes from, unless `params` says it.
        params: what to make.
        ready: a folder that is only read: a whole set with these parameters is taken from it.

    Raises:
        UserError: a folder of the same name is there that this did not make, or made with other
            parameters.
    """
    params = QuickstartParams(seed=seed) if params is None else params
    places = [Path(root), *([] if ready is None else [ready])]
    scenes, made_scenes = _ensure(
        [place / "digit_scenes" for place in places],
        _describe(params, "scene"),
        lambda to: _make_scenes(to, params),
    )
    crops, made_crops = _ensure(
        [place / "digit_crops" for place in places],
        _describe(params, "crop"),
        lambda to: _make_crops(to, params),
    )
    return QuickstartData(
        *(DatasetEntry(f"digit_scenes_{s}", scenes / f"{s}.json", scenes / s) for s in _SPLITS),
        *(DatasetEntry(f"digit_crops_{s}", None, crops / s) for s in _SPLITS),
        made=made_scenes or made_crops,
        description=_sentence(params),
    )


def _sentence(params: QuickstartParams) -> str:
    low, high = params.scene.digit_size
    return (
        f"Handwritten digits (scikit-learn's, {low}–{high} px) on pieces of its two sample "
        f"photographs, {params.scene.size} px a side: {params.train_scenes} scenes to train on, "
        f"{params.val_scenes} held out, and {params.train_crops} + {params.val_crops} crops of one "
        "digit for classification. Held-out pictures share no digit and no part of a photograph "
        "with the others."
    )


def _describe(params: QuickstartParams, kind: str) -> dict[str, Any]:
    """Returns the parameters of one set as they read back from JSON."""
    content: dict[str, Any] = {
        "format": _FORMAT,
        "seed": params.seed,
        "style": dataclasses.asdict(getattr(params, kind)),
        "pictures": [getattr(params, f"{split}_{kind}s") for split in _SPLITS],
    }
    return json.loads(json.dumps(content))


def _ensure(
    places: Sequence[Path], wanted: dict[str, Any], make: Callable[[Path], None]
) -> tuple[Path, bool]:
    """Makes the first of some folders unless one is complete; returns which, and whether made."""
    for folder in places:
        if _read_manifest(folder) == {"params": wanted, "files": _count_files(folder)}:
            return folder, False
    folder = places[0]
    _check_may_go(folder, wanted)
    partial = folder.with_name(f".{folder.name}.partial")
    _check_may_go(partial)
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    _write_manifest(partial, wanted, None)  # the mark of ours, should this be interrupted
    make(partial)
    _write_manifest(partial, wanted, _count_files(partial))
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    return folder, True


def _check_may_go(folder: Path, wanted: dict[str, Any] | None = None) -> None:
    """Refuses a folder that is not a torn set of ours, which may be removed.

    Args:
        folder: what is to be made anew.
        wanted: the parameters it must have been made with; None where these do not matter.

    Raises:
        UserError: others' files lie there, or a set with other parameters.
    """
    if not os.path.lexists(folder) or _is_empty(folder):
        return
    manifest = _read_manifest(folder)
    if manifest is None or not _holds_no_other_file(folder, manifest):
        raise UserError(
            f"{folder}: it holds files that the quickstart did not make; move it away or choose "
            "another folder"
        )
    if wanted not in (None, manifest["params"]):
        raise UserError(
            f"{folder}: its pictures were made with other parameters, and whatever was trained on "
            "them needs them: choose another folder, or remove this one if nothing does"
        )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and next(folder.iterdir(), None) is None


def _holds_no_other_file(folder: Path, manifest: dict[str, Any]) -> bool:
    """Whether a folder with our manifest holds nothing but what these functions write."""
    if folder.is_symlink() or not {item.name for item in folder.iterdir()} <= _KNOWN:
        return False
    # Fewer files than were made is a torn set; more are somebody's.
    return manifest["files"] is None or _count_files(folder) <= manifest["files"]


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """Returns what a set of ours says of itself; None where there is no manifest of our form."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.keys() != {"params", "files"}:
        return None
    params, files = manifest["params"], manifest["files"]
    if not isinstance(params, dict) or params.keys() != {"format", "seed", "style", "pictures"}:
        return None
    return manifest if files is None or isinstance(files, int) else None


def _write_manifest(folder: Path, params: dict[str, Any], files: int | None) -> None:
    """Says what a set is; without the number of its files, that it is being made."""
    manifest = {"params": params, "files": files}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _count_files(folder: Path) -> int:
    return sum(path.is_file() and path.name != _MANIFEST for path in folder.rglob("*"))


def _make_scenes(folder: Path, params: QuickstartParams) -> None:
    for split, count in zip(_SPLITS, (params.train_scenes, params.val_scenes), strict=True):
        (folder / split).mkdir()
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, scene in enumerate(_paint(split, "scene", count, params), start=1):
            name = f"{number:05d}.jpg"
            _save(scene, folder / split / name)
            height, width = scene.image.shape[:2]
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            annotations += _annotate(scene, number, len(annotations))
        content = {
            "info": {"description": f"handwritten digits on photographs, {split}"},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASS_NAMES)],
        }
        (folder / f"{split}.json").write_text(json.dumps(content) + "\n")


def _annotate(scene: Scene, image_id: int, before: int) -> list[dict[str, Any]]:
    """Returns COCO annotations; boxes are written as real numbers, `x, y, w, h`."""
    return [
        {
            "id": before + number,
            "image_id": image_id,
            "category_id": label + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
        }
        for number, ((x0, y0, x1, y1), label) in enumerate(
            zip(scene.boxes.tolist(), scene.classes.tolist(), strict=True), start=1
        )
    ]


def _make_crops(folder: Path, params: QuickstartParams) -> None:
    for split, count in zip(_SPLITS, (params.train_crops, params.val_crops), strict=True):
        for name in CLASS_NAMES:
            (folder / split / name).mkdir(parents=True)
        for number, scene in enumerate(_paint(split, "crop", count, params)):
            label = CLASS_NAMES[int(scene.classes[0])]
            _save(scene, folder / split / label / f"{number:05d}.jpg")


def _paint(split: Split, kind: str, count: int, params: QuickstartParams) -> Iterator[Scene]:
    """Paints pictures, each from a seed of its own, so that their number changes none."""
    painter = ScenePainter(split)
    for number in range(count):
        stream = (number, _SPLITS.index(split), ("scene", "crop").index(kind), 1)
        random = np.random.RandomState(derive_seed(params.seed, *stream))
        if kind == "crop":
            yield painter.paint(random, params.crop, first_class=number % len(CLASS_NAMES))
        else:
            yield painter.paint(random, params.scene)


def _save(scene: Scene, path: Path) -> None:
    Image.fromarray(scene.image).save(path, quality=95, subsampling=0)
