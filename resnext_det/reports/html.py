"""One self-contained report.html from a study's result JSON. Engine-neutral."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from resnext_det.reports.curves import curves_svg
from resnext_det.reports.pictures import Picture, sample_pictures
from resnext_det.reports.published import published_tables
from resnext_det.reports.study import Row, Study, read_study
from resnext_det.reports.table import PAPER, columns_for, percent
from resnext_det.whole_files import write_text_safe

_RESULTS = Path("inference") / "coco_instances_results.json"


def write_report(result: Path, output: Path | None = None, *, num_pictures: int = 4) -> Path:
    """Writes the page of a study, or of one run.

    The page needs nothing but itself: no script, no address outside it.

    Args:
        result: result.json of a study or a run.
        output: the page; by default report.html beside `result`.
        num_pictures: how many sample images it shows.

    Returns:
        The page's path.

    Raises:
        UserError: the JSON is missing or malformed.
    """
    study = read_study(result)
    output = output or result.with_name("report.html")
    environment = Environment(
        loader=PackageLoader("resnext_det.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    page = environment.get_template("report.html.j2").render(**_content(study, num_pictures))
    write_text_safe(output, page)
    return output


def _content(study: Study, num_pictures: int) -> dict[str, Any]:
    """Returns what the template names."""
    more = study.more
    return {
        "title": more.get("title", "Detection results"),
        "engine": more.get("engine"),
        "versions": more.get("versions", {}),
        "seconds": more.get("seconds"),
        "settings": more.get("settings", {}),
        "description": more.get("dataset", {}).get("description", ""),
        "findings": more.get("findings", []),
        "columns": columns_for(study.rows),
        "rows": study.rows,
        "published": published_tables(PAPER),
        "figures": _figures(study.rows),
        "pictures": _pictures(study, num_pictures),
        "source": study.path.name,
    }


def _figures(rows: Sequence[Row]) -> list[tuple[str, Markup]]:
    """Returns (caption, svg) of each figure that some run has numbers for."""
    runs = {row.label: row.run for row in rows if row.run is not None}
    first = {row.model: row.pretraining_run for row in rows if row.pretraining_run is not None}
    wanted = (
        ("Classification before it: training loss", first, "total_loss", "loss"),
        ("Detection: training loss", runs, "total_loss", "total loss"),
        ("Detection: AP@0.5 on the held-out images", runs, "bbox/AP50", "AP@0.5 (%)"),
        ("Detection: AP on the held-out images", runs, "bbox/AP", "AP (%)"),
    )
    drawn = [(text, curves_svg(of, key, ylabel=label)) for text, of, key, label in wanted]
    # Safe to mark: matplotlib wrote the element and escaped every label in it.
    return [(caption, Markup(svg)) for caption, svg in drawn if svg is not None]


def _pictures(study: Study, count: int) -> list[list[Picture]]:
    annotations, images = study.file("annotations"), study.file("images")
    if annotations is None or images is None or not annotations.exists():
        return []
    results: Mapping[str, Any] = {
        row.label: json.loads((row.run / _RESULTS).read_text())
        for row in study.rows
        if row.run is not None and (row.run / _RESULTS).exists()
    }
    return sample_pictures(json.loads(annotations.read_text()), images, results, count=count)
