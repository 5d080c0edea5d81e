"""The action that compares two weights files. Engine-neutral."""

import argparse
import math
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from resnext_det.cli.printing import (
    check_json,
    files_of_weights,
    open_console,
    write_json,
)
from resnext_det.errors import few, one_line
from resnext_det.weights.comparing import Comparison, Differing, compare_weights

_FEW, _WORST = 3, 10  # names in a line, and rows


def act(args: argparse.Namespace) -> int:
    """Compares, prints what differs, and writes the JSON.

    Returns:
        The exit status: 0 if they are the same, 1 if they differ.

    Raises:
        UserError: one is no weights file, or the JSON cannot be written.
    """
    check_json(args.json, files_of_weights(args.a, args.b))
    comparison = compare_weights(args.a, args.b, tolerance=args.tolerance)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _lines(comparison):
        table.add_row(label, Text(one_line(text)))
    open_console(args.json).print(table)
    write_json(args.json, comparison.as_json())
    return 0 if comparison.is_same else 1


def _lines(found: Comparison) -> Iterable[tuple[str, str]]:
    """Label and text of each line; what there is none of is left out."""
    yield "A", found.a
    yield "B", found.b
    yield from _counted("only in A", found.only_a)
    yield from _counted("only in B", found.only_b)
    for number, (name, (ours, theirs)) in enumerate(list(found.reshaped.items())[:_WORST]):
        label = f"{len(found.reshaped)} reshaped" if number == 0 else ""
        yield label, f"{name}: {_shape(ours)} in A, {_shape(theirs)} in B"
    for number, tensor in enumerate(found.differing[:_WORST]):
        yield f"{len(found.differing)} differ" if number == 0 else "", _differing(tensor)
    if len(found.differing) > _WORST:
        yield "", f"… and {len(found.differing) - _WORST} by less"
    yield from _counted("within", found.within)
    for number, (name, (ours, theirs)) in enumerate(list(found.retyped.items())[:_FEW]):
        label = f"{len(found.retyped)} retyped" if number == 0 else ""
        yield label, f"{name}: {ours} in A, {theirs} in B, the same numbers"
    yield "equal", f"{len(found.equal)} tensors, to the bit"
    if found.ignored:
        yield "passed over", f"{len(found.ignored)} counters of BatchNorm, which are no weights"
    for field, (ours, theirs) in found.fields.items():
        yield field, f"{_value(ours)} in A, {_value(theirs)} in B"
    yield "", _verdict(found)


def _counted(label: str, names: Sequence[str]) -> Iterable[tuple[str, str]]:
    if names:
        yield f"{len(names)} {label}", few(names)


def _verdict(found: Comparison) -> str:
    if found.is_same:
        return "the same" if not found.within else "the same, within the tolerance"
    return "different, with the same backbone" if found.backbone_is_same else "different"


def _differing(tensor: Differing) -> str:
    share = f"{tensor.relative:.1e} of A's largest" if math.isfinite(tensor.relative) else "NaN"
    return (
        f"{tensor.name}: by up to {tensor.largest:.3g} ({share}), {tensor.count:,} of "
        f"{tensor.total:,} numbers"
    )


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a number"


def _value(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, list):
        return f"{len(value)} names ({', '.join(map(str, value[:_FEW]))} …)"
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)
