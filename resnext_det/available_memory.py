"""How much memory this process may still take. Engine-neutral; in the lowest layer."""

import resource
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def available_memory(root: Path = _ROOT) -> int | None:
    """Returns the bytes that can still be had without swapping: the least that any limit leaves.

    The machine's (`MemAvailable`), those of the control groups that this process is in and of
    the groups above them (version 1 and 2; pages of files that the kernel can drop count as
    free), and that of its address space (`ulimit -v`).

    Args:
        root: of the file system that holds proc and sys; another one in tests.

    Returns:
        None where nothing is known, as on systems without /proc.
    """
    found = [*_of_machine(root), *_of_groups(root), *_of_address_space(root)]
    return max(0, min(found)) if found else None


def _of_machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_groups(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        else:
            continue
        folder = top / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group == top.parent:
                break
            yield from _left(group, *names)


def _left(group: Path, limit_file: str, used_file: str, prefix: str) -> Iterator[int]:
    """Yields what one group may still take; nothing where it has no limit."""
    limit, used = _lines(group / limit_file), _lines(group / used_file)
    if not limit or not used or limit[0] == "max":
        return
    cached = 0
    for line in _lines(group / "memory.stat"):
        name, _, number = line.partition(" ")
        if name in (f"{prefix}inactive_file", f"{prefix}active_file"):
            cached += int(number)
    yield int(limit[0]) - int(used[0]) + cached


def _of_address_space(root: Path) -> Iterator[int]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    for line in _lines(root / "proc/self/status"):
        if line.startswith("VmSize:"):
            yield limit - int(line.split()[1]) * 1024


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
