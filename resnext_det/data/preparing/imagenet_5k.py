"""ImageNet-5K out of an ImageNet-21K tree, as the ResNeXt paper has it. Engine-neutral.

Section 5.2 of the paper: the 1,000 classes of ImageNet-1K and the 4,000 biggest others of
ImageNet-22K, 6.8 million images; the test is on ImageNet-1K's validation set. Ties between classes
of one size go by name, which the paper leaves open.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resnext_det.data.image_folder import images_in
from resnext_det.data.manifest import SourceFile, SplitRecord
from resnext_det.data.preparing.archives import ForwardReader, open_archive
from resnext_det.data.preparing.class_sources import ClassSource, count_images, find_classes
from resnext_det.data.preparing.imagenet_1k import unpack_images
from resnext_det.data.preparing.progress import bar
from resnext_det.data.preparing.published import IMAGENET_5K_IMAGES
from resnext_det.data.preparing.split import (
    Outcome,
    SplitWork,
    already_prepared,
    check_space,
    locked,
    remove,
)
from resnext_det.errors import UserError

KIND = "imagenet-5k"
OTHERS = 4000
_COUNTED = "counted/"  # begins the journal's parts that hold counts
_AT_ONCE = 100  # classes between two lines of the journal


def prepare_imagenet_5k(
    tree: Path,
    target: Path,
    classes_1k: Sequence[str],
    *,
    others: int = OTHERS,
    copy: bool = False,
    command: str = "",
) -> Outcome:
    """Chooses the classes and makes `TARGET/train/CLASS`.

    A class folder becomes a symbolic link to it, an archive a folder. An interrupted run goes on
    where it was, in the counting as well.

    Args:
        tree: folders nXXXXXXXX or archives nXXXXXXXX.tar.
        target: the folder of the set.
        classes_1k: the WordNet ids that are in it in any case.
        others: how many more there are.
        copy: copy class folders instead of linking them.
        command: the command line, for the manifest.

    Raises:
        UserError: the tree lacks classes or images; the disk is full; the target holds something
            else.
    """
    sources = {tree.absolute(): 0}
    with locked(target):
        if record := already_prepared(target, "train", KIND, sources):
            return Outcome(record, fresh=False)
        found = find_classes(tree)
        _check_classes(tree, found, classes_1k, others)
        work = SplitWork(target, "train", KIND, sources)
        counts = _count(found, work)
        chosen = choose_classes({n: c[0] for n, c in counts.items()}, classes_1k, others)
        empty = [name for name in chosen if not counts[name][0]]
        if empty:
            raise UserError(f"{found[empty[0]].path}: no image in it; {len(empty)} such class(es)")
        finished = work.finished_parts()
        bulky = [n for n in chosen if n not in finished and (copy or found[n].archived)]
        check_space(target, sum(counts[name][1] for name in bulky))
        _fill(work, {name: found[name] for name in chosen}, finished, copy=copy)
        record = SplitRecord(
            KIND,
            {name: counts[name][0] for name in chosen},
            (SourceFile(tree.absolute().name, 0),),
            command,
            notes=_notes(tree, counts, chosen, classes_1k),
        )
        work.finish(record)
    return Outcome(record, fresh=True)


def choose_classes(
    counts: Mapping[str, int], classes_1k: Sequence[str], others: int
) -> tuple[str, ...]:
    """Returns the 1K classes and the biggest others, ties by name; sorted by name.

    Args:
        counts: class -> images.
        classes_1k: in it in any case.
        others: how many more.
    """
    rest = sorted(set(counts) - set(classes_1k), key=lambda name: (-counts[name], name))
    return tuple(sorted([*classes_1k, *rest[:others]]))


def _check_classes(
    tree: Path, found: Mapping[str, ClassSource], classes_1k: Sequence[str], others: int
) -> None:
    missing = sorted(set(classes_1k) - set(found))
    if missing:
        raise UserError(
            f"{tree}: {len(missing):,} of ImageNet-1K's {len(classes_1k):,} classes are not in it, "
            f"such as '{missing[0]}': link or copy them there from ImageNet-1K's train/"
        )
    more = len(found) - len(classes_1k)
    if more < others:
        raise UserError(
            f"{tree}: {more:,} classes beside those of ImageNet-1K, but {others:,} are needed: is "
            "it ImageNet-21K?"
        )


def _count(found: Mapping[str, ClassSource], work: SplitWork) -> dict[str, tuple[int, int]]:
    """Returns class -> how many images, and their bytes."""
    parts = work.journal.parts
    known = {
        n: c for part, r in parts.items() if part.startswith(_COUNTED) for n, c in r["of"].items()
    }
    counts = {name: (images, size) for name, (images, size) in known.items() if name in found}
    waiting = [name for name in found if name not in counts]
    with bar("counting", len(waiting)) as advance:
        for first in range(0, len(waiting), _AT_ONCE):
            names = waiting[first : first + _AT_ONCE]
            fresh = {}
            for name in names:
                fresh[name] = count_images(found[name])
                advance(1)
            counts.update(fresh)
            work.journal.add(f"{_COUNTED}{names[0]}", of=fresh)
    return counts


def _fill(
    work: SplitWork, chosen: Mapping[str, ClassSource], finished: Mapping[str, Any], *, copy: bool
) -> None:
    with bar("train", len(chosen)) as advance:
        work.partial.mkdir(parents=True, exist_ok=True)
        for name, source in chosen.items():
            if not (source.archived or copy):
                _link(work.partial / name, source.path)
            elif name not in finished:
                with work.class_folder(name) as folder:
                    images, size = (
                        _unpack(source, folder) if source.archived else _copy(source, folder)
                    )
                work.journal.add(name, images=images, bytes=size)
            advance(1)


def _link(link: Path, folder: Path) -> None:
    remove(link)  # of an earlier run, which may have copied
    link.symlink_to(folder.resolve(), target_is_directory=True)


def _unpack(source: ClassSource, folder: Path) -> tuple[int, int]:
    with open_archive(source.path, digest=False) as opened:
        return unpack_images(ForwardReader(opened.file, str(source.path)), folder)


def _copy(source: ClassSource, folder: Path) -> tuple[int, int]:
    paths = images_in(source.path)
    for path in paths:
        shutil.copyfile(path, folder / Path(path).name)
    if len(list(folder.iterdir())) != len(paths):
        raise UserError(f"{source.path}: two of its images have one name, in folders of their own")
    return len(paths), sum(item.stat().st_size for item in folder.iterdir())


def _notes(
    tree: Path,
    counts: Mapping[str, tuple[int, int]],
    chosen: Sequence[str],
    classes_1k: Sequence[str],
) -> dict[str, Any]:
    others = set(chosen) - set(classes_1k)
    return {
        "tree": str(tree.absolute()),
        "classes_in_tree": len(counts),
        "classes_1k": sorted(classes_1k),
        "smallest_other": min((counts[name][0] for name in others), default=0),
        "paper_images": IMAGENET_5K_IMAGES,
    }
