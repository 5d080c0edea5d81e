"""Whether two lists of result files can be compared seed by seed. Engine-neutral."""

from collections.abc import Sequence
from pathlib import Path

from resnext_det.errors import UserError


def check_pairs(first: Sequence[Path], second: Sequence[Path]) -> None:
    """Refuses what has no seed or no partner.

    Raises:
        UserError: there is no file, or one side has more than the other.
    """
    if not first or not second:
        raise UserError("a comparison needs the results of at least one seed on both sides")
    if len(first) != len(second):
        raise UserError(
            f"{len(first)} results beside {len(second)} (first {first[0]} and {second[0]}): seeds "
            "are compared in pairs, so both sides need the same"
        )
