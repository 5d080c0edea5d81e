"""The verb that makes a page of a study's or a run's result JSON. Engine-neutral."""

import argparse
from collections.abc import Iterator

from resnext_det.cli.printing import open_console
from resnext_det.errors import one_line
from resnext_det.reports.html import write_study
from resnext_det.reports.sample_source import sample_source
from resnext_det.reports.study import Study, read_study
from resnext_det.reports.table import rich_table


def run(args: argparse.Namespace) -> int:
    """Prints the table and where pictures come from, and writes the page.

    Returns:
        The exit status, 0.

    Raises:
        UserError: the JSON is missing or malformed, or the page cannot be written.
    """
    trusted = args.trust_file_names
    study = read_study(args.result)
    page = write_study(study, args.output, trusted=trusted)
    console = open_console()
    console.print(rich_table(study.rows, published=study.published or None))
    for line in (*_said_of_samples(study, trusted=trusted), f"{page} is written."):
        console.print(one_line(line), soft_wrap=True, markup=False, highlight=False)
    return 0


def _said_of_samples(study: Study, *, trusted: bool) -> Iterator[str]:
    source = sample_source(study, trusted=trusted)
    if source is None:
        return
    if source.refused:
        yield (
            f"No sample images are drawn: {source.refused}; --trust-file-names draws them, where "
            "you trust the file"
        )
    else:
        yield f"Sample images are read from {source.images}, which the file names."
