"""The action that looks into a weights file. Engine-neutral."""

import argparse
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from resnext_det.cli.printing import (
    check_json,
    files_of_weights,
    open_console,
    write_json,
)
from resnext_det.errors import few, one_line
from resnext_det.weights.inspecting import Inspection, as_json, inspect_weights
from resnext_det.weights.suspicions import range_of

_MEGA = 1e6


def act(args: argparse.Namespace) -> int:
    """Looks, prints one screen and writes the JSON.

    Returns:
        The exit status, 0: also for a file that no model of ours fits.

    Raises:
        UserError: it is not there, cannot be fetched, is no weights file, or the JSON cannot be
            written.
    """
    check_json(args.json, files_of_weights(args.weights))
    inspection = inspect_weights(args.weights)
    console = open_console(args.json)
    _print(console, inspection)
    if args.tensors:
        console.print(_tensor_table(inspection))
    content = as_json(inspection)
    if args.tensors:
        content["tensor_list"] = _tensor_list(inspection)
    write_json(args.json, content)
    return 0


def _print(console: Console, inspection: Inspection) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _lines(inspection):
        table.add_row(label, Text(one_line(text)))
    for number, suspicion in enumerate(inspection.suspicions):
        label = "suspicious" if number == 0 else ""
        text = f"{suspicion.text} ({few(suspicion.names)})"
        table.add_row(label, Text(one_line(text), style="yellow"))
    if not inspection.suspicions:
        table.add_row("suspicious", Text("nothing", style="green"))
    for number, hint in enumerate(inspection.hints):
        table.add_row("use with" if number == 0 else "", Text(hint))
    console.print(table)


def _lines(inspection: Inspection) -> Iterable[tuple[str, str]]:
    """Label and text of each line but the suspicions and the hints."""
    opened = inspection.opened
    known = opened.known
    yield "file", _file(inspection)
    yield "names", _names(inspection)
    yield "network", _network(inspection)
    if inspection.head:
        yield "head", str(inspection.head)
    yield "tensors", _tensors(inspection)
    if inspection.share_known is not None:
        yield "known", _known(inspection)
    yield "convention", _convention(inspection)
    if known.class_names:
        number, first = len(known.class_names), few(known.class_names)
        yield "classes", f"{number:,} name{'' if number == 1 else 's'}: {first}"
    yield "licence", known.licence or "not known"
    if known.accuracy:
        yield "accuracy", ", ".join(f"{k} {v:g} %" for k, v in known.accuracy.items())
    if known.origin and known.origin != opened.source:
        yield "origin", known.origin
    yield "side-car", opened.side_car
    yield from (("wrong", problem) for problem in opened.problems)
    yield "sha256", opened.sha256  # alone, to fit 80 columns
    yield "of tensors", opened.digest
    if opened.content.ignored:
        yield "passed over", f"objects of {few(opened.content.ignored)}, not imported"


def _file(inspection: Inspection) -> str:
    opened = inspection.opened
    size = f"{opened.path.stat().st_size / _MEGA:,.1f} MB"
    return f"{opened.source} ({opened.content.container}, {size})"


def _names(inspection: Inspection) -> str:
    opened = inspection.opened
    if opened.naming is None:
        return f"of nobody that is known here ({few(tuple(opened.content.tensors)) or 'none'})"
    if opened.refusal:
        return f"{opened.naming.name}'s, but no plain ResNet or ResNeXt: it has {opened.refusal}"
    return f"{opened.naming.name}'s"


def _network(inspection: Inspection) -> str:
    architecture = inspection.architecture
    if architecture is None:
        return "not known" + _with(inspection.special)
    details = [f"{architecture.num_groups}x{architecture.width_per_group}d"]
    details.append("bottleneck blocks" if architecture.bottleneck else "basic blocks")
    stages = "-".join(str(number) for _, number in architecture.blocks)
    details.append(f"{stages} of them")
    details.append(f"{architecture.stem or 'no plain'} stem")
    norm = inspection.opened.known.norm or architecture.norm
    details.append(f"norm {norm}" if norm else "no norm")
    name = f"{architecture.kind}-{architecture.depth}"
    variant = f" = {architecture.variant}" if architecture.variant else ", no named variant"
    return f"{name}{variant} ({', '.join(details)}){_with(inspection.special)}"


def _with(special: Sequence[str]) -> str:
    return f"; no plain ResNet: it has {', '.join(special)}" if special else ""


def _tensors(inspection: Inspection) -> str:
    number = len(inspection.opened.content.tensors)
    kinds = inspection.dtypes
    several = len(kinds) > 1
    dtypes = ", ".join(f"{count} {name}" if several else name for name, count in kinds.items())
    params = f"{inspection.num_params:,} parameters"
    return f"{number:,}, {params}" + (f" ({dtypes})" if dtypes else "")


def _known(inspection: Inspection) -> str:
    assert inspection.share_known is not None
    parts = [f"{inspection.share_known:.1%} of the tensors"]
    if inspection.unknown:
        parts.append(f"{len(inspection.unknown)} have no place ({few(inspection.unknown)})")
    if inspection.missing:
        parts.append(f"{len(inspection.missing)} are missing ({few(inspection.missing)})")
    return "; ".join(parts)


def _convention(inspection: Inspection) -> str:
    convention = inspection.opened.known.convention
    if convention is None:
        return "not known: give INPUT.FORMAT, MODEL.PIXEL_MEAN and MODEL.PIXEL_STD yourself"
    mean, std = (
        ", ".join(f"{v:g}" for v in values) for values in (convention.mean, convention.std)
    )
    stride = "1x1" if convention.stride_in_1x1 else "3x3"
    who = inspection.opened.said.who_says("convention")
    pixels = f"{convention.format}, mean {mean}, std {std} (0-255)"
    return f"{pixels}, stride in the {stride}; so says {who}"


def _tensor_table(inspection: Inspection) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("tensor", overflow="fold")
    table.add_column("shape")
    table.add_column("kind")
    table.add_column("smallest", justify="right")
    table.add_column("largest", justify="right")
    for row in _tensor_list(inspection):
        low, high = (("" if row[k] is None else f"{row[k]:.4g}") for k in ("smallest", "largest"))
        shape = "x".join(map(str, row["shape"])) or "number"
        table.add_row(Text(one_line(row["name"])), shape, row["dtype"], low, high)
    return table


def _tensor_list(inspection: Inspection) -> list[dict]:
    rows = []
    for name, value in inspection.opened.content.tensors.items():
        found = range_of(value) if value.numel() else None
        rows.append(
            {
                "name": name,
                "shape": list(value.shape),
                "dtype": str(value.dtype).removeprefix("torch."),
                "smallest": found.low if found and found.is_finite else None,
                "largest": found.high if found and found.is_finite else None,
            }
        )
    return rows
