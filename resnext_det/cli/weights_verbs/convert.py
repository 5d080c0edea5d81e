"""The action that writes weights as another project has them. Engine-neutral."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from resnext_det.cli.printing import (
    check_json,
    files_of_weights,
    open_console,
    write_json,
)
from resnext_det.data.class_names import read_class_names
from resnext_det.errors import UserError, one_line
from resnext_det.weights.convention import Convention
from resnext_det.weights.heads import infer_head
from resnext_det.weights.licences import is_non_commercial, normalised
from resnext_det.weights.naming.detectron2 import is_backbone_key
from resnext_det.weights.reference import reference_outputs
from resnext_det.weights.sources import Weights, read_weights
from resnext_det.weights.targets import find_target
from resnext_det.weights.writing import Prepared, check_free, prepare, write_prepared


def act(args: argparse.Namespace) -> int:
    """Converts, and says what was done.

    Returns:
        The exit status, 0.

    Raises:
        UserError: the source cannot be read, the target cannot hold it, or the file cannot be
            written.
    """
    used = files_of_weights(args.source, str(args.output))
    check_json(args.json, [*used, *([args.class_names] if args.class_names else [])])
    check_free(args.output, args.source, args.force)  # before gigabytes are read
    find_target(args.to).write_for(args.output.suffix)
    weights = _told(read_weights(args.source), args.licence, args.class_names)
    prepared = _with_outputs(prepare(weights, args.to, part=args.part), weights, args.part)
    write_prepared(args.output, prepared, args.source, force=args.force)
    rows = _rows(weights, prepared, args.output)
    console = open_console(args.json)
    width = max(map(len, rows))
    for name, text in rows.items():
        line = f"{name:<{width}}  {one_line(text)}"
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)
    if warning := _warning(prepared.side_car.licence):
        console.print(warning, markup=False, highlight=False)
    write_json(args.json, _content(weights, prepared, args.output))
    return 0


def _with_outputs(prepared: Prepared, weights: Weights, part: str) -> Prepared:
    """Adds what the source's own tensors answer, for `weights verify` of the new file."""
    if prepared.side_car.outputs:  # of the file that the source itself was converted from
        return prepared
    state = weights.state
    if part == "backbone":
        state = {name: value for name, value in state.items() if is_backbone_key(name)}
    outputs = reference_outputs(replace(weights, state=state))
    return replace(prepared, side_car=replace(prepared.side_car, outputs=outputs))


def _told(weights: Weights, licence: str | None, class_names: Path | None) -> Weights:
    """Adds what the user knows of the weights; a licence that the source says stays."""
    side_car = weights.side_car
    if licence:
        given = normalised(licence)
        if side_car.licence and normalised(side_car.licence) != given:
            raise UserError(
                f"--licence {given}: {weights.source} is under {side_car.licence}; leave it out"
            )
        side_car = replace(side_car, licence=given)
    if class_names:
        names = read_class_names(class_names)
        head = infer_head(weights.state)
        if head.num_classes != len(names):
            raise UserError(
                f"--class-names {class_names} has {len(names)} names, the head of "
                f"{weights.source} {head.num_classes or 'no'} classes"
            )
        side_car = replace(side_car, class_names=names)
    return replace(weights, side_car=side_car)


def _rows(weights: Weights, prepared: Prepared, output: Path) -> Mapping[str, str]:
    side_car = prepared.side_car
    before, after = (_shown(c) for c in (weights.convention, side_car.convention))
    count = sum(tensor.numel() for tensor in prepared.tensors.values())
    return {
        "source": weights.source,
        "names": f"{weights.side_car.naming} -> {prepared.target.name}",
        "architecture": side_car.architecture or "not known",
        "head": str(infer_head(prepared.state)),
        "convention": before if before == after else f"{before} -> {after}",
        "tensors": f"{len(prepared.tensors)}, {count:,} numbers",
        "licence": side_car.licence or "not known",
        "notes": "; ".join(prepared.notes) or "none",
        "sha256": f"{side_car.sha256} (of the tensors)",
        "written": f"{output}, read back and compared: all tensors equal",
    }


def _content(weights: Weights, prepared: Prepared, output: Path) -> dict[str, Any]:
    return {
        "source": weights.source,
        "output": str(output),
        "to": prepared.target.name,
        "tensors": len(prepared.tensors),
        "convention_before": weights.convention and asdict(weights.convention),
        "notes": list(prepared.notes),
        "side_car": asdict(prepared.side_car),
    }


def _warning(licence: str) -> str:
    if not is_non_commercial(licence):
        return ""
    return f"warning: {licence} forbids commercial use, of what is trained from these weights, too"


def _shown(convention: Convention | None) -> str:
    return "not known" if convention is None else str(convention)
