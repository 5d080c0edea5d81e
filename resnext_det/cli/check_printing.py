"""What `resnext-det dataset check` prints. Engine-neutral."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from resnext_det.data.checking.check import CheckResult
from resnext_det.data.checking.findings import EXAMPLES, FindingGroup, group_findings
from resnext_det.data.checking.mend_log import WORDS
from resnext_det.data.checking.mending import Mended
from resnext_det.data.checking.set_facts import SetFacts
from resnext_det.errors import one_line

_ALL = "-o FOLDER shows more, --json FILE lists all"
_CLASSES = 30  # lines of the table of classes; all of them are in the JSON and on the page


def print_result(console: Console, result: CheckResult) -> None:
    """Prints the sets, their classes, and the findings by kind with their first examples."""
    for facts in result.facts:
        say(console, facts.sentence)
    print_classes(console, result.facts)
    groups = group_findings(result.findings)
    for title, chosen in (
        ("Problems", [group for group in groups if group.is_problem]),
        ("Notes", [group for group in groups if not group.is_problem]),
    ):
        if chosen:
            console.print()
            say(console, title)
        for group in chosen:
            _print_group(console, group)
    problems, notes = result.num_problems, len(result.findings) - result.num_problems
    console.print()
    say(console, f"{problems:,} problem(s), {notes:,} note(s)")


def say(console: Console, line: str) -> None:
    """Prints one line as it is, whatever a file is called."""
    console.print(Text(one_line(line)), soft_wrap=True, highlight=False)


def print_classes(console: Console, all_facts: Sequence[SetFacts]) -> None:
    """Prints how many objects, or images, of each class each set has, the commonest first."""
    names: dict[str, list[int]] = {}
    for number, facts in enumerate(all_facts):
        for name, count in facts.classes.items():
            names.setdefault(name, [0] * len(all_facts))[number] = count.objects
    if not names:
        return
    unit = "objects" if all_facts[0].task == "detection" else "images"
    table = Table()
    table.add_column("class", overflow="fold")
    for facts in all_facts:
        heading = Text(one_line(f"{facts.name}: {unit}"))
        table.add_column(heading, justify="right", overflow="fold")
    ordered = sorted(names.items(), key=lambda item: (-sum(item[1]), item[0]))
    for name, counts in ordered[:_CLASSES]:
        table.add_row(Text(one_line(name)), *(f"{count:,}" for count in counts))
    console.print(table)
    if len(ordered) > _CLASSES:
        say(console, f"… and {len(ordered) - _CLASSES:,} more classes ({_ALL})")


def _print_group(console: Console, group: FindingGroup) -> None:
    say(console, f"  {group.dataset}: {len(group.findings):,} × {group.title}")
    _print_examples(console, group, _ALL)


def _print_examples(console: Console, group: FindingGroup, where_all: str) -> None:
    for finding in group.findings[:EXAMPLES]:
        say(console, f"      {finding.text}")
    if len(group.findings) > EXAMPLES:
        say(console, f"      … and {len(group.findings) - EXAMPLES:,} more ({where_all})")
    if group.advice:
        say(console, f"      → {group.advice}")


def print_mended(console: Console, mended: Mended) -> None:
    """Prints what --fix did to a set, and what it left."""
    console.print()
    if mended.written is None:
        say(console, f"{mended.source}: {mended.left[0].reason}")
        return
    say(console, f"{mended.written} is the mended copy of {mended.source}:")
    for kind, count in mended.log.counts.items():
        say(console, f"  {count:,} × {WORDS[kind]}")
    for group in group_findings(mended.left):
        say(console, f"  not mended: {len(group.findings):,} × {group.title}")
        _print_examples(console, group, f"{mended.name}.fixes.json lists all")
    if not mended.log.counts and not mended.left:
        say(console, "  nothing was to be mended")
