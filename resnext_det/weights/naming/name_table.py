"""A table of names, read in either direction. Engine-neutral."""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from resnext_det.errors import few
from resnext_det.weights.naming.base import UnknownNames

# What a placeholder stands for. A leaf is a tensor of a norm's.
_PATTERNS = {
    "stage": r"(?P<stage>[0-9])",
    "block": r"(?P<block>[0-9]{1,3})",
    "conv": r"(?P<conv>[0-9a-z])",
    "leaf": r"(?P<leaf>weight|bias|running_mean|running_var|num_batches_tracked)",
    "term": r"(?P<term>weight|bias)",
}
_STAGES = range(2, 6)  # of ours: res2 … res5


@dataclass(frozen=True)
class NameTable:
    """Rows of (their name, our name), with placeholders for numbers that may be counted otherwise.

    Attributes:
        rows: in both names of a row the same ones of {stage}, {block}, {conv}, {leaf} (a
            tensor of a norm) and {term} (weight or bias).
        stage: to be added to their number of a stage to get ours.
        block: likewise of a block in its stage.
        convs: their names of a block's convolutions -> ours; empty where they are the same.
    """

    rows: tuple[tuple[str, str], ...]
    stage: int = 0
    block: int = 0
    convs: Mapping[str, str] = field(default_factory=dict)

    def ours(self, key: str) -> str | None:
        """Returns our name for one of theirs, or None if it is none of theirs."""
        return self._translate(key, 0, 1, dict(self.convs))

    def theirs(self, key: str) -> str | None:
        """Returns their name for one of ours, or None if they have none."""
        return self._translate(key, 1, -1, {ours: theirs for theirs, ours in self.convs.items()})

    def _translate(self, key: str, side: int, sign: int, convs: Mapping[str, str]) -> str | None:
        for row in self.rows:
            match = re.fullmatch(_pattern_of(row[side]), key)
            if match is None:
                continue
            words = match.groupdict()
            if convs and words.get("conv", "") not in ("", *convs):
                return None
            if "conv" in words:
                words["conv"] = convs.get(words["conv"], words["conv"])
            return self._fill(row[1 - side], words, sign)
        return None

    def _fill(self, template: str, words: dict[str, str], sign: int) -> str | None:
        """Counts stage and block as the other side does; None where that is no ResNet's."""
        if "stage" in words:
            stages = (int(words["stage"]), int(words["stage"]) + sign * self.stage)
            if stages[1 if sign > 0 else 0] not in _STAGES:
                return None
            words["stage"] = str(stages[1])
        if "block" in words:
            block = int(words["block"]) + sign * self.block
            if block < 0:
                return None
            words["block"] = str(block)
        return template.format(**words)


def rename_all(
    tensors: Mapping[str, Tensor],
    rename: Callable[[str], str | None],
    meaning: Callable[[str], str] = lambda key: "",
) -> dict[str, Tensor]:
    """Renames every tensor, in the order in which they come.

    Args:
        tensors: name -> tensor.
        rename: gives the new name, or None where there is none.
        meaning: what a name without a new one stands for, as in "a deep stem", or "".

    Raises:
        UnknownNames: there is no new name, or two tensors would get the same.
    """
    names = {key: rename(key) for key in tensors}
    if unknown := [key for key, name in names.items() if name is None]:
        raise UnknownNames(_told(unknown, meaning))
    renamed = {name: tensors[key] for key, name in names.items() if name is not None}
    if len(renamed) < len(tensors):
        raise UnknownNames("two tensors of the same meaning")
    return renamed


def _told(unknown: list[str], meaning: Callable[[str], str]) -> str:
    """Each meaning once, with the first name that has it; then names that mean nothing known."""
    meant: dict[str, str] = {}
    for key in unknown:
        meant.setdefault(meaning(key), key)
    told = [f"{words} ({key})" for words, key in meant.items() if words]
    told = told or [key for key in unknown if not meaning(key)]
    return few(told)


@functools.cache
def _pattern_of(template: str) -> str:
    parts = re.split(r"\{(\w+)\}", template)
    return "".join(_PATTERNS[p] if i % 2 else re.escape(p) for i, p in enumerate(parts))
