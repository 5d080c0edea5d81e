"""The verb that does again an update whose loss or gradient was not finite. Engine-neutral."""

import argparse
import math
from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from resnext_det.classification.reproduction import classification_task
from resnext_det.cli.printing import open_console, write_json
from resnext_det.config import load_config
from resnext_det.engines.base import detectron2_is_installed, resolve_engine, resolve_lazy
from resnext_det.engines.reproduction import detection_task
from resnext_det.errors import UserError, few, one_line
from resnext_det.training.non_finite.facts import number, numbers
from resnext_det.training.non_finite.reading import Bundle, read_bundle
from resnext_det.training.non_finite.reproduction import Reproduction, Task, reproduce
from resnext_det.training.non_finite.step import STATISTICS
from resnext_det.training.result import versions


def run(args: argparse.Namespace) -> int:
    """Does the update again and prints what comes of it.

    Returns:
        The exit status: 0 if the same terms are not finite, else 1.

    Raises:
        UserError: the folder is no bundle or is damaged, or its engine is not installed.
    """
    bundle = read_bundle(args.folder)
    found = reproduce(bundle, _task(bundle, args))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _lines(bundle, found):
        table.add_row(label, Text(one_line(text)))
    open_console(args.json).print(table)
    write_json(args.json, _as_json(bundle, found))
    return 0 if found.agrees_with(bundle) else 1


def _task(bundle: Bundle, args: argparse.Namespace) -> Task:
    # What it was trained from is in the model already, and may lie anywhere.
    changes = ["MODEL.WEIGHTS", ""]
    if args.device:
        changes += ["MODEL.DEVICE", args.device]
    cfg = load_config(str(bundle.config), changes).cfg
    is_lazy = bool(cfg.LAZY_CONFIG)
    if is_lazy and not args.config_file:
        raise UserError(
            f"{bundle.folder}: the run had a .py config, which is code: give it as --config-file "
            "FILE.py, followed by the key=value that the run had"
        )
    if not is_lazy and args.config_file:
        raise UserError("--config-file is for runs from a .py config: leave it out")
    if bundle.engine == "d2" and not detectron2_is_installed():
        raise UserError(
            f"{bundle.folder}: this bundle is of the d2 engine: reproduce it where Detectron2 is "
            "installed"
        )
    if is_lazy:
        file, *words = args.config_file
        return detection_task(resolve_lazy(file, words, {}, "d2")[0], cfg)
    if bundle.engine == "classification":
        return classification_task(cfg)
    return detection_task(resolve_engine("d2" if bundle.engine == "d2" else "portable"), cfg)


def _lines(bundle: Bundle, found: Reproduction) -> Iterator[tuple[str, str]]:
    """Label and text of each line; what there is none of is left out."""
    yield "bundle", f"iteration {bundle.iteration}, {bundle.engine} engine: {bundle.reason}"
    if differing := _other_versions(bundle):
        yield "versions", differing
    for name in dict.fromkeys([*bundle.terms, *found.terms]):
        then, now = bundle.terms.get(name), found.terms.get(name)
        yield name, f"{_shown(then)} then, {_shown(now)} now"
    if bundle.error or found.error:
        yield "broken off", f"then: {bundle.error or 'no'}; now: {found.error or 'no'}"
    yield "reproduced", "yes" if found.agrees_with(bundle) else "no: other terms are not finite"
    for rank, place, count, image in found.bad_data:
        yield "batch", f"process {rank}, {place}: {count} value(s) not finite {image}"
    if found.bad_weights:
        bad = found.bad_weights
        yield "weights", f"{len(bad)} not finite before the update: {few(bad)}"
    yield "first module", _module(found)
    if found.parameter:
        more = f", the first of {found.bad_parameters} in the order of the backward pass"
        yield "first gradient", found.parameter + more
    if found.largest_gradient:
        name, norm = found.largest_gradient
        together = "each is finite, their norm together is too large for float32"
        yield "gradients", f"{together}; the largest is that of {name}, {norm:.3g}"


def _module(found: Reproduction) -> str:
    first = found.module
    if first is None and found.largest_gradient:
        return "none has an output that is not finite, nor is a gradient"
    if first is None and STATISTICS in found.not_finite:
        return "none has an output that is not finite: its running statistics alone are"
    if first is None:
        return (
            "none has an output that is not finite: the loss itself, or the backward pass, is not"
        )
    inputs = "finite" if first.inputs_are_finite else "not finite"
    weights = f"not finite ({few(first.bad_weights)})" if first.bad_weights else "finite"
    return f"{first.name} ({first.kind}): its inputs are {inputs}, its weights {weights}"


def _other_versions(bundle: Bundle) -> str:
    here = versions()
    names = [name for name, value in bundle.versions.items() if here.get(name, "none") != value]
    return ", ".join(f"{n} {bundle.versions[n]} then, {here.get(n, 'none')} now" for n in names)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"


def _as_json(bundle: Bundle, found: Reproduction) -> dict[str, Any]:
    first = found.module
    return {
        "bundle": str(bundle.folder),
        "reproduced": found.agrees_with(bundle),
        "terms_then": numbers(bundle.terms),
        "terms": numbers(found.terms),
        "not_finite": [*found.not_finite],
        "error": found.error,
        "first_module": first and {**vars(first), "bad_weights": [*first.bad_weights]},
        "first_gradient": found.parameter,
        "bad_gradients": found.bad_parameters,
        "bad_data": [list(entry) for entry in found.bad_data],
        "bad_weights": [*found.bad_weights],
        "largest_gradient": found.largest_gradient and [*found.largest_gradient],
        "largest_relative_difference": number(_difference(bundle, found)),
    }


def _difference(bundle: Bundle, found: Reproduction) -> float:
    """Of the terms that are finite both then and now."""
    pairs = [(bundle.terms[name], now) for name, now in found.terms.items() if name in bundle.terms]
    both = [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
    return max((abs(a - b) / max(abs(a), abs(b), 1e-30) for a, b in both), default=0.0)
