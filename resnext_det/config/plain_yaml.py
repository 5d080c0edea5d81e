"""YAML from strangers: plain data, in bounded time and memory. Engine-neutral.

PyYAML's safe loader runs nothing, but a short text can keep it, or whoever walks through what it
returns, busy for ages: names that stand for lists of names ("billion laughs"), keys merged from
each other, numbers of a million digits, and depth that ends in a RecursionError.
"""

from collections.abc import Hashable
from typing import Any

import yaml

MOST_CHARACTERS = 1_000_000
"""Of a text; the longest config has 20,000, and PyYAML takes some seconds for these."""

_MOST_NODES = 200_000  # of a tree in which every alias is written out
_MOST_DIGITS = 300  # of a number; a float has at most 17
_DEEPEST = 50
_TOO_DEEP = f"it is nested deeper than {_DEEPEST} levels"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class NotPlainYAMLError(ValueError):
    """A text that is no YAML of plain data; one line says why.

    Args:
        reason: what it is.
        line: where, counted from 1; None where that is not known.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(reason)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a key written twice is an error and not the later one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else key_node
            if key in seen:
                problem = f"{str(key)[:60]} is written twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_plain_yaml(text: str) -> Any:
    """Returns what a YAML text says: dicts, lists, text, numbers, dates. Runs no code of it.

    Raises:
        NotPlainYAMLError: it is not YAML, holds a tag that is no plain data, a key twice, or more
            than `MOST_CHARACTERS`, deeper nesting or longer numbers than a config has, or names
            for parts that make a huge or endless tree.
    """
    if len(text) > MOST_CHARACTERS:
        raise NotPlainYAMLError(f"it has {len(text):,} characters; at most {MOST_CHARACTERS:,}")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _Walk().visit(node, 1)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except NotPlainYAMLError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise NotPlainYAMLError(str(error.problem), mark.line + 1 if mark else None) from error
    except yaml.YAMLError as error:
        raise NotPlainYAMLError(str(error).splitlines()[0]) from error
    except RecursionError as error:
        raise NotPlainYAMLError(_TOO_DEEP) from error  # before the walk could count
    except Exception as error:  # of odd scalars: ValueError, IndexError, KeyError, OverflowError …
        reason = " ".join(str(error).split())[:80]
        raise NotPlainYAMLError(f"it has a value that is none ({reason})") from error


class _Walk:
    """Measures a tree as if every alias were written out, by a look at each node once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int] | None] = {}

    def visit(self, node: yaml.Node, depth: int) -> tuple[int, int]:
        """Returns the nodes below one and itself, and their levels.

        Args:
            node: where to begin.
            depth: its level, the root's is 1.

        Raises:
            NotPlainYAMLError: there are too many, too deep, endless, or a number is too long.
        """
        line = node.start_mark.line + 1
        known = self._known.get(id(node), (0, 1))
        if known is None:
            raise NotPlainYAMLError("a part of it contains itself", line)
        if depth + known[1] - 1 > _DEEPEST:
            raise NotPlainYAMLError(_TOO_DEEP, line)
        if known[0]:
            return known
        if isinstance(node, yaml.ScalarNode):
            if node.tag in _NUMBERS and len(node.value) > _MOST_DIGITS:
                raise NotPlainYAMLError(f"a number of {len(node.value)} characters", line)
            return 1, 1
        self._known[id(node)] = None
        below = [self.visit(child, depth + 1) for child in _children(node)]
        size = 1 + sum(size for size, _ in below)
        if size > _MOST_NODES:
            raise NotPlainYAMLError(
                f"its names for parts (&, *) stand for more than {_MOST_NODES:,} values", line
            )
        levels = 1 + max((levels for _, levels in below), default=0)
        self._known[id(node)] = size, levels
        return size, levels


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value)
