"""What a measured run reads in place of a job's test set and starting weights. Engine-neutral."""

import json
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode

from projects.studies.planning.job_facts import JobFacts
from resnext_det.config import check_weights, with_values
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.classification_set import FolderImages
from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.whole_files import write_safe, write_text_safe

_TEST_IMAGES = {"classification": 64, "detection": 16}


def few_test_images(facts: JobFacts, folder: Path) -> tuple[list[str], int]:
    """Makes a small set of a job's test images.

    Args:
        facts: the job, whose data are here.
        folder: where the set is made; images are linked or named, not copied.

    Returns:
        The `--test-data` option, and how many images it has; none for a set that cannot be cut:
        shards, panoptic pictures, or images with proposals in another file.
    """
    entry = facts.tests[0] if facts.tests else None
    if entry is None or entry.address or entry.panoptic or facts.cfg.MODEL.LOAD_PROPOSALS:
        return [], 0
    cut = _few_in_classes if facts.classifies else _few_in_json
    place, images = cut(entry, folder)
    return ([f"--test-data={entry.name}={place}"], images) if images else ([], 0)


def starting_weights(cfg: CfgNode, path: Path) -> str:
    """Returns what a measured run starts from.

    Nothing where the config can do without weights. Otherwise the config's own, if they are a
    file that is here; else a backbone made up for it, with residual branches that start at zero,
    so that what passes through frozen norms keeps its size.

    Args:
        cfg: of the job.
        path: where that backbone is written, if need be.
    """
    try:
        check_weights(with_values(cfg, {"MODEL.WEIGHTS": ""}))
    except UserError:
        own = Path(cfg.MODEL.WEIGHTS).expanduser()
        if own.is_file():
            return str(own)
    else:
        return ""
    made_up = {
        "MODEL.RESNETS.NORM": "BN",
        "MODEL.RESNETS.ZERO_INIT_RESIDUAL": True,
        "MODEL.BACKBONE.FREEZE_AT": 0,
    }
    with torch.random.fork_rng(devices=[]):
        model = classifier_from_config(with_values(cfg, made_up))
    write_safe(path, {"model": model.state_dict(), "matching_heuristics": True})
    return str(path)


def _few_in_json(entry: DatasetEntry, folder: Path) -> tuple[str, int]:
    assert entry.json_file is not None
    content: dict[str, Any] = read_json(entry.json_file)
    images = _spread(content["images"], _TEST_IMAGES["detection"])
    ids = {image["id"] for image in images}
    annotations = [a for a in content.get("annotations", []) if a["image_id"] in ids]
    path = folder / "few.json"
    write_text_safe(path, json.dumps({**content, "images": images, "annotations": annotations}))
    return f"{path}:{entry.image_root}", len(images)


def _few_in_classes(entry: DatasetEntry, folder: Path) -> tuple[str, int]:
    found = load_classification_set(entry, training=False, skip_broken=True)
    if not isinstance(found.images, FolderImages):
        return "", 0
    numbers = _spread(range(len(found)), _TEST_IMAGES["classification"])
    for number in numbers:
        source = Path(found.images.name(number)).resolve()
        link = folder / "few" / found.class_names[found.images.label(number)] / source.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
    return str(folder / "few"), len(numbers)


def _spread(items: Any, count: int) -> list[Any]:
    """Returns at most `count` of the items, evenly over all."""
    step = max(1.0, len(items) / count)
    return [items[int(place * step)] for place in range(min(count, len(items)))]
