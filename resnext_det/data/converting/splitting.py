"""Which photographs are trained on and which are kept for validation. Engine-neutral."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of


def split_by_content(
    root: Path, classes: Mapping[str, Collection[str]], share: float
) -> dict[str, list[str]]:
    """Splits photographs by their SHA-256 sums, which are as good as drawn and ask for no seed.

    The same photographs are split in the same way on every machine, whatever they are called, and
    copies of one photograph stay together. Of each class the first photograph, in the order of the
    sums, is trained on, as what is not trained on cannot be found; then come the others.

    Args:
        root: the folder of the photographs.
        classes: names of photographs, each with the classes of what is labelled in it.
        share: of those trained on, between 0 and 1.

    Returns:
        "train" and "val", neither empty, each sorted.

    Raises:
        UserError: there are fewer than two different photographs; one cannot be read.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        try:
            groups[sha256_of(root / name)].append(name)
        except OSError as error:
            raise UserError(f"{root / name}: cannot be read ({error.strerror})") from error
    if len(groups) < 2:
        raise UserError(f"{root}: has {len(groups)} different image(s); a split needs two or more")
    wanted = max(1, round(share * sum(map(len, groups.values()))))
    split: dict[str, list[str]] = {"train": [], "val": []}
    ordered = _new_classes_first([groups[digest] for digest in sorted(groups)], classes)
    for group in ordered[:-1]:
        split["train" if len(split["train"]) < wanted else "val"] += group
    split["val"] += ordered[-1]
    return {name: sorted(chosen) for name, chosen in split.items()}


def _new_classes_first(
    groups: Sequence[list[str]], classes: Mapping[str, Collection[str]]
) -> list[list[str]]:
    seen: set[str] = set()
    first, others = [], []
    for group in groups:
        found = {label for name in group for label in classes[name]}
        (others if found <= seen else first).append(group)
        seen |= found
    return [*first, *others]
