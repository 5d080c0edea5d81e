"""The action that lists public weights by network. Engine-neutral."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from resnext_det.cli.printing import check_json, open_console, write_json
from resnext_det.errors import UserError
from resnext_det.weights.cache import CachedFile
from resnext_det.weights.catalog import CatalogEntry, catalogued_variants, entries_of
from resnext_det.weights.licences import (
    ANY,
    KNOWN_COMMERCIAL,
    allows_commercial,
    is_non_commercial,
)
from resnext_det.weights.remote import find_cached

_HEADING = ("figure", "licence", "from", "pixels", "cached", "MODEL.WEIGHTS")
_LABELS = {
    "top1": "top-1",
    "AP": "box AP",
    "AR": "proposal AR",
}  # the first that an entry has is shown


def act(args: argparse.Namespace) -> int:
    """Prints the weights, by network and the most accurate first, and writes the JSON.

    Returns:
        The exit status, 0.

    Raises:
        UserError: there is no such variant, or the JSON cannot be written.
    """
    check_json(args.json)
    chosen = {variant: entries_of(variant) for variant in args.variants or catalogued_variants()}
    console = open_console(args.json)
    rows: list[dict[str, Any]] = []
    for variant, entries in chosen.items():
        found = [(entry, _find(entry)) for entry in entries if _is_wanted(entry, args)]
        if args.cached:
            found = [(entry, file) for entry, file in found if file]
        if found or args.variants:
            _print(console, variant, found, len(entries))
        rows += [
            {**asdict(entry), "cached": str(file.path) if file else None} for entry, file in found
        ]
    if args.cached and not rows and not args.variants:
        console.print("none is on this machine; `resnext-det weights fetch SPEC` brings one")
    write_json(args.json, {"weights": rows})
    return 0


def _is_wanted(entry: CatalogEntry, args: argparse.Namespace) -> bool:
    if args.task not in (None, entry.task):
        return False
    if args.licence_policy == KNOWN_COMMERCIAL:
        return allows_commercial(entry.licence)
    return args.licence_policy == ANY or not is_non_commercial(entry.licence)


def _find(entry: CatalogEntry) -> CachedFile | None:
    try:
        return find_cached(entry.spec)
    except UserError:  # timm is not installed, or has these weights no longer
        return None


def _print(
    console: Console,
    variant: str,
    found: Sequence[tuple[CatalogEntry, CachedFile | None]],
    known: int,
) -> None:
    console.print(variant, style="bold")
    if not found:
        why = "the options leave none" if known else "none are known: train it, or give a file"
        console.print(f"  {why}")
        return
    rows = [_HEADING, *(_row(entry, file) for entry, file in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADING) - 1)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        line = "  ".join(("", *cells, row[-1]))
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _row(entry: CatalogEntry, file: CachedFile | None) -> tuple[str, ...]:
    remark = "; ".join(_remarks(entry))
    return (
        _figure(entry),
        entry.licence or "not stated",
        entry.origin,
        entry.convention.format,
        "yes" if file else "",
        entry.spec + (f"  ({remark})" if remark else ""),
    )


def _figure(entry: CatalogEntry) -> str:
    name = next((name for name in _LABELS if name in entry.accuracy), None)
    if name is None:
        return "–"
    figure = f"{_LABELS[name]} {entry.accuracy[name]:.1f}"
    return f"{figure} at {entry.pixels}" if entry.pixels not in (None, 224) else figure


def _remarks(entry: CatalogEntry) -> Iterable[str]:
    if entry.config:
        yield entry.config
    if entry.convention.stride_in_1x1:
        yield "stride in the 1x1"
    if entry.remark:
        yield entry.remark
