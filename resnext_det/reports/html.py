"""One self-contained report.html from a study's result JSON. Engine-neutral."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError, one_line
from resnext_det.evaluation.results_json import read_results
from resnext_det.json_files import read_json
from resnext_det.reports.box_panels import Panel, panels
from resnext_det.reports.page_figures import (
    class_figures,
    difference_figures,
    precision_figures,
    size_figures,
    training_figures,
)
from resnext_det.reports.page_file import check_page, write_page
from resnext_det.reports.page_lists import (
    classes_table,
    cost_table,
    main_metric,
    pairs_of,
    published_page_table,
    seeds_table,
    summary_table,
)
from resnext_det.reports.page_words import (
    caption_of,
    commands_of,
    intro,
    no_pictures,
    provenance,
    published_caveat,
)
from resnext_det.reports.pictures import Picture, sample_pictures
from resnext_det.reports.published import PublishedTable, published_tables
from resnext_det.reports.sample_source import SampleSource, sample_source
from resnext_det.reports.seeds import group_rows
from resnext_det.reports.study import DETECTION, Study, read_study

_RESULTS = Path("inference") / "coco_instances_results.json"


def write_report(
    result: Path, output: Path | None = None, *, num_pictures: int = 4, trusted: bool = False
) -> Path:
    """Writes the page of a study, or of one run.

    The page needs nothing but itself: no script, no address outside it.

    Args:
        result: result.json of a study or a run.
        output: the page; by default report.html beside `result`.
        num_pictures: how many sample images the page of a study without "pictures" shows.
        trusted: whether `result` may name folders of images outside its own; see `sample_source`.

    Returns:
        The page's path.

    Raises:
        UserError: the JSON is missing or malformed, the page cannot be written, or another file
            stands in its place.
    """
    return write_study(read_study(result), output, num_pictures=num_pictures, trusted=trusted)


def write_study(
    study: Study, output: Path | None = None, *, num_pictures: int = 4, trusted: bool = False
) -> Path:
    """Writes the page of a study that has been read; see `write_report`."""
    output = output or study.path.with_name("report.html")
    check_page(output, elsewhere="resnext-det report RESULT.json -o PAGE", used=[study.path])
    write_page("report.html.j2", _content(study, num_pictures, trusted=trusted), output)
    return output


def _content(study: Study, num_pictures: int, *, trusted: bool) -> dict[str, Any]:
    """Returns what the template names."""
    groups = group_rows(study.rows)
    default = ("table8",) if study.kind == DETECTION and len(study.rows) != 1 else ()
    tables = published_tables(study.published or default)
    pairs = pairs_of(study)
    verdicts = [d for d in study.differences if d.metric == main_metric(study)]
    said = {difference.text for difference in verdicts}  # a finding may say the same once more
    return {
        "title": study.more.get("title") or f"{study.kind.capitalize()} results",
        "source": study.path.name,
        "intro": intro(study, groups),
        "verdicts": verdicts,
        "findings": [f for f in study.more.get("findings") or [] if f["text"] not in said],
        "summary": summary_table(study, groups, caption_of(study, groups)),
        "one_seed": all(difference.one_seed for difference in study.differences),
        "pairs": [(pair, *difference_figures(pair)) for pair in pairs],
        "seeds": seeds_table(study, groups) if any(len(g.rows) > 1 for g in groups) else None,
        "training": training_figures(groups),
        "precision": precision_figures(study, groups),
        "sizes": size_figures(study, groups),
        "class_figures": class_figures(study, groups),
        "classes": classes_table(groups, study.rows),
        "pictures": _panels(study),
        "samples": _samples(study, sample_source(study, trusted=trusted), num_pictures),
        "no_pictures": no_pictures(study),
        "cost": cost_table(groups, study.kind),
        "published": [(_heading(table), published_page_table(table)) for table in tables],
        "caveat": published_caveat(study),
        "commands": commands_of(study, groups),
        "provenance": provenance(study),
    }


def _heading(table: PublishedTable) -> str:
    return f"{table.short[0].upper()}{table.short[1:]}: {table.title}"


def _panels(study: Study) -> list[tuple[str, list[Panel]]]:
    return [(p.file_name, panels(p, number)) for number, p in enumerate(study.pictures)]


def _samples(study: Study, source: SampleSource | None, count: int) -> list[list[Picture]]:
    """Draws sample images of a study older than "pictures", whose files lie beside it."""
    if source is None or source.refused:
        return []
    results: Mapping[str, Any] = {
        row.label: read_results(row.run / _RESULTS)
        for row in study.rows
        if row.run is not None and (row.run / _RESULTS).exists()
    }
    if not results:
        return []
    try:
        return sample_pictures(read_json(source.annotations), source.images, results, count=count)
    except (KeyError, TypeError, ValueError, OSError) as error:
        what = one_line(str(error))
        raise UserError(
            f"{source.annotations}: cannot be drawn with the results beside it ({what})"
        ) from error
