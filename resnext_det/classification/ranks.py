"""The file that says of each test image where its class came. Engine-neutral.

Statistics of the differences between two classifiers resample its images.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from resnext_det.data.classification_set import ClassificationSet
from resnext_det.whole_files import write_text_safe

RANKS_FILE = Path("inference") / "classification_ranks.json"


def write_ranks(
    path: Path, dataset: ClassificationSet, indices: Tensor, ranks: Mapping[str, Tensor]
) -> None:
    """Writes the names of the images and the ranks of their classes, in the order of the set.

    `{"images": [name, …], "ranks": [int, …]}`, and for a set of M classes only, scored among
    these too, `"M_way/ranks"`: 0 where the true class came first, so that `M_way/top5` is the
    share of ranks below 5. Images that could not be read are not in it.

    Args:
        path: the file.
        dataset: the test set.
        indices: (N,) int64, places in the set of the images that were scored, in any order.
        ranks: by what the names of metrics begin with, (N,) int64 each, in the order of `indices`.
    """
    order = torch.argsort(indices)
    names = [
        relative_name(dataset.images.name(index), dataset.entry.location)
        for index in indices[order].tolist()
    ]
    content = {f"{way}ranks": of_way[order].tolist() for way, of_way in ranks.items()}
    write_text_safe(path, json.dumps({"images": names, **content}) + "\n")


def relative_name(name: str, location: str) -> str:
    """Cuts what an image's name begins with on this machine only.

    Args:
        name: what messages call the image: a path, or SHARD: MEMBER.
        location: of its set: a folder, or the address or pattern of shards that lie beside it.
    """
    shortest = name.removeprefix(f"{location}/")
    return shortest if shortest != name else name.removeprefix(f"{location.rpartition('/')[0]}/")
