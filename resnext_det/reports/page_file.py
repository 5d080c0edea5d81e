"""A page written from its template: one file that needs nothing but itself. Engine-neutral."""

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from resnext_det.errors import UserError
from resnext_det.replacing import check_replaceable
from resnext_det.whole_files import write_text_safe

# By this a page is known as one that may be replaced.
_MARK = '<meta name="generator" content="resnext-det report">'


def check_page(output: Path, *, elsewhere: str, used: Iterable[Path] = ()) -> None:
    """Refuses to write over anything but a page of ours.

    Args:
        output: the page.
        elsewhere: the command that writes it to another place, for the message.
        used: files that the command reads.

    Raises:
        UserError: a folder or another file is there.
    """
    if output.is_dir():
        raise UserError(f"{output}: is a folder; give the page's file name")
    foreign = (
        "bears no mark of a page that this command wrote (those of older versions have none): "
        f"move it away, or name another page: {elsewhere}"
    )
    if output.exists() and not output.is_file():  # a pipe or a device would be replaced
        raise UserError(f"{output}: exists and {foreign}")
    check_replaceable(
        output, is_ours=lambda head: _MARK.encode() in head, otherwise=foreign, used=used
    )


def write_page(template: str, content: Mapping[str, Any], output: Path) -> None:
    """Fills a template of this room; every text in it is escaped.

    Args:
        template: its file.
        content: what it names, beside `mark` and `style`.
        output: the page.

    Raises:
        UserError: the disk refuses it.
    """
    environment = Environment(
        loader=PackageLoader("resnext_det.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = resources.files("resnext_det.reports").joinpath("report.css").read_text("utf-8")
    # Safe to mark: both are the package's own.
    ours = {"mark": Markup(_MARK), "style": Markup(style)}
    write_text_safe(output, environment.get_template(template).render(**content, **ours))
