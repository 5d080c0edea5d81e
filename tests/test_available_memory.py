"""How much memory is left, by every limit there is. Engine-neutral."""

from pathlib import Path

import pytest

from resnext_det.available_memory import available_memory

GIB = 1 << 30


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Writes what a machine with 8 GiB left says of itself."""
    texts = {
        "proc/meminfo": f"MemTotal: 99 kB\nMemAvailable: {8 * GIB // 1024} kB\n",
        "proc/self/cgroup": groups,
        "proc/self/status": "VmSize:\t 1024 kB\n",
        **files,
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_machines_where_no_group_has_a_limit(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.current": "5\n"}
    assert available_memory(machine(tmp_path, "0::/a\n", files)) == 8 * GIB


@pytest.mark.parametrize(
    ("groups", "folder", "limit", "used", "stat"),
    [
        ("0::/a/b\n", "sys/fs/cgroup/a", "memory.max", "memory.current", "inactive_file"),
        (
            "3:cpu:/\n4:memory:/a/b\n",
            "sys/fs/cgroup/memory/a",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_the_least_of_a_group_and_those_above(
    tmp_path: Path, groups: str, folder: str, limit: str, used: str, stat: str
) -> None:
    files = {
        f"{folder}/{limit}": f"{4 * GIB}",
        f"{folder}/{used}": f"{3 * GIB}",
        f"{folder}/memory.stat": f"anon 7\n{stat} {GIB // 2}\n",
        f"{folder}/b/{limit}": f"{6 * GIB}",
        f"{folder}/b/{used}": "0",
    }
    assert available_memory(machine(tmp_path, groups, files)) == 3 * GIB // 2


def test_a_limit_of_the_address_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (GIB, GIB))
    assert available_memory(machine(tmp_path, "", {})) == GIB - (1 << 20)


def test_nothing_is_known_without_proc(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None


def test_this_machine_has_some() -> None:
    left = available_memory()
    assert left is None or left > 0
