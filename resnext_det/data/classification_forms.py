"""The forms a classification set may have, and which one an entry has. Engine-neutral."""

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.image_folder import load_image_folder
from resnext_det.data.shard_pattern import is_pattern
from resnext_det.data.shards import has_shards, load_shards


def load_classification_set(
    entry: DatasetEntry, *, training: bool, skip_broken: bool = False
) -> ClassificationSet:
    """Opens a classification set: a folder of class folders, or shards in a folder or on a server.

    Args:
        entry: where the set lies.
        training: whether it is trained on.
        skip_broken: whether broken images are left to be set aside when they are read.

    Raises:
        UserError: it is not there, or something in it is wrong; see `load_image_folder` and
            `load_shards`.
    """
    if entry.json_file is None and (
        entry.address or is_pattern(entry) or has_shards(entry.image_root)
    ):
        return load_shards(entry)
    return load_image_folder(entry, training=training, skip_broken=skip_broken)
