"""Tables of a Markdown page, and the command that puts them there. Engine-neutral."""

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path


def pipe_table(lines: Iterable[Sequence[str]]) -> str:
    """Returns lines of cells, the second of them "---" or "---:", as GitHub Markdown."""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def insert(text: str, found: Mapping[str, str]) -> str:
    """Puts each table between `<!-- NAME -->` and the next `<!-- end -->`.

    Args:
        text: of the page.
        found: table by name; names that the page does not have are left out.
    """
    for name, table in found.items():
        pattern = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)"
        text = re.sub(pattern, lambda m, t=table: f"{m[1]}\n{t}\n{m[2]}", text, flags=re.DOTALL)
    return text


def run_tables_command(page: Path, tables: Callable[[], Mapping[str, str]], source: str) -> int:
    """Prints a page's tables or, with --write, puts them into it.

    Args:
        page: the Markdown file.
        tables: makes the tables, by name.
        source: what they are made from, for --help.

    Returns:
        The exit status, 0.
    """
    parser = argparse.ArgumentParser(description=f"{page.name}'s tables from {source}")
    parser.add_argument("--write", action="store_true", help=f"put them into {page.name}")
    if parser.parse_args().write:
        text = insert(page.read_text(encoding="utf-8"), tables())
        page.write_text(text, encoding="utf-8")
    else:
        print("\n\n".join(table.strip() for table in tables().values()))
    return 0
