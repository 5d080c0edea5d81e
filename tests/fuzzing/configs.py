"""Configs: YAML text, `_BASE_` chains and KEY VALUE pairs to `load_config`. Engine-neutral.

The input is text in parts: the config, then others after lines `%% base.yaml`, `%% other.yaml` and
`%% overrides`, in which every line is a word of the command line.
"""

import functools
import random
from pathlib import Path
from typing import Any

from resnext_det.config import load_config
from resnext_det.config.limits import CHOICES
from resnext_det.config.tree import dump_config, flatten, get_cfg
from resnext_det.errors import UserError, one_line
from tests.fuzzing.harness import Harness
from tests.fuzzing.mutations import NUMBERS, TEXTS, mutate_bytes

_MARK = b"%% "
_FILES = (b"base.yaml", b"other.yaml")
_WORDS = (
    "[]", "{}", "[1, 2]", "[[1, 2], [3]]", "(1, 2)", "null", "~", "yes", "1e-4", "1.0e+400", ".inf",
    "-.inf", ".nan", "0x1f", "0o17", "1_000", "190:20:30", "2001-01-01", "!!python/none",
    "!!binary", "!!set {a}", "!!timestamp 2001", "&a [*a]", "*a", "<<: *a", "? a", "|", ">", "'",
    "[" * 60, "- " * 60, "{" * 60, "'-1'", "\"\\ud800\"", "[base.yaml, base.yaml]", "base.yaml",
    "other.yaml",
    "main.yaml", "resnext_det://Base-RCNN-FPN.yaml", "resnext_det://../x", "/dev/null", "~/x", "..",
    "__import__('os')", "9**9**9", "-" * 3000 + "1", "(" * 300, "1" * 4000, "lambda: 0", "f'{1}'",
)  # fmt: skip


def read(data: bytes, folder: Path, thorough: bool) -> None:
    """Loads the config, and once more what a run writes of it.

    Raises:
        UserError: the config is refused.
        AssertionError: the loaded tree is not the same when written and read again.
    """
    main, others, words = _parts(data)
    (folder / "main.yaml").write_bytes(main)
    for name, text in others.items():
        (folder / name.decode()).write_bytes(text)
    try:
        loaded = load_config(str(folder / "main.yaml"), words)
    except UserError as error:
        one_line(str(error)).encode()
        raise
    if not thorough:
        return
    written = dump_config(loaded.cfg)
    (folder / "again.yaml").write_text(written, "utf-8")
    try:
        again = load_config(str(folder / "again.yaml"))
    except UserError as error:
        raise AssertionError(f"refused when written and read again: {error}") from error
    assert dump_config(again.cfg) == written, "another tree when written and read again"


def _parts(data: bytes) -> tuple[bytes, dict[bytes, bytes], list[str]]:
    """Returns the main text, the other files' and the words of the command line."""
    main, *rest = (b"\n" + data).split(b"\n" + _MARK)
    files, words = dict.fromkeys(_FILES, b""), []
    for part in rest:
        head, _, text = part.partition(b"\n")
        if head in files:
            files[head] = text
        elif head == b"overrides":
            # As the command line gives them: bytes that are no UTF-8 are surrogates.
            words = text.decode("utf-8", "surrogateescape").splitlines()
    return main[1:], {name: text for name, text in files.items() if text}, words


@functools.cache
def _defaults() -> dict[str, Any]:
    return dict(flatten(get_cfg()))


def _key_and_word(draw: random.Random) -> tuple[str, str]:
    """Returns a known key and a value that it may have, or some word."""
    key = draw.choice(tuple(_defaults()))
    default = _defaults()[key]
    if draw.random() < 0.4:
        return key, _word(draw)
    if key in CHOICES:
        return key, repr(draw.choice(CHOICES[key]))
    if isinstance(default, bool):
        return key, str(not default)
    if isinstance(default, int | float):
        return key, str(draw.choice((0, 1, 2, 7, default * 2, default + 1, default / 3, -default)))
    if isinstance(default, list) and default:
        return key, repr(draw.choice((default[:-1], default[::-1], default * 2, [], [default])))
    return key, repr(default)


def mutate(draw: random.Random, data: bytes) -> bytes:
    """Changes lines of a config: a value, a key, the indentation; or its bytes."""
    if draw.random() < 0.15:
        return mutate_bytes(draw, data)
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for _ in range(draw.choice((1, 1, 2, 3))):
        place = draw.randrange(len(lines))
        draw.choice((_value, _value, _value, _add, _add, _override, _override, _line))(
            draw, lines, place
        )
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _word(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.4:
        return draw.choice(_WORDS)
    word = str(draw.choice(NUMBERS[:-8])) if kind < 0.7 else draw.choice(TEXTS)
    return word.encode("utf-8", "replace").decode()


def _value(draw: random.Random, lines: list[str], place: int) -> None:
    """Gives a key of the file another value, or a word of the command line."""
    key, colon, value = lines[place].partition(": ")
    if not colon:
        lines[place] = _word(draw) if draw.random() < 0.3 else lines[place]
    elif value.startswith("[") and draw.random() < 0.5:
        items = value.strip("[]").split(", ")
        items[draw.randrange(len(items))] = _word(draw)
        lines[place] = f"{key}: [{', '.join(items)}]"
    else:
        lines[place] = f"{key}: {_word(draw)}"


def _add(draw: random.Random, lines: list[str], place: int) -> None:
    """Puts a known key in, in a group of its own at the end or as a line here."""
    key, value = _key_and_word(draw)
    *groups, name = key.split(".")
    if draw.random() < 0.3:
        lines.insert(place, f"{'  ' * draw.randrange(4)}{name}: {value}")
        return
    text = f"{{{name}: {value}}}"
    for group in reversed(groups[1:]):
        text = f"{{{group}: {text}}}"
    if groups:
        lines.insert(0, f"{groups[0]}: {text}")
    else:
        lines.insert(0, f"{name}: {value}")


def _override(draw: random.Random, lines: list[str], place: int) -> None:
    if "%% overrides" not in lines:
        lines.append("%% overrides")
    at = lines.index("%% overrides") + 1
    key, word = _key_and_word(draw)
    lines[at:at] = [key, word.replace("\n", " ")]


def _line(draw: random.Random, lines: list[str], place: int) -> None:
    """Moves, repeats, leaves out or indents a line."""
    line = lines.pop(place)
    kind = draw.randrange(5)
    if kind == 0:
        lines.insert(draw.randrange(len(lines) + 1), line)
    elif kind == 1:
        lines[place:place] = [line] * draw.choice((2, 3, 40))
    elif kind == 2:
        lines.insert(place, f"  {line}")
    elif kind == 3:
        lines.insert(place, line[2:])
    if not lines:
        lines.append("")


HARNESS = Harness(read, mutate, every=8)
