"""Who holds a folder: a lock that ends with its process, however that ends. Engine-neutral."""

import contextlib
import errno
import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

_NO_LOCKS = (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK)


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock, as its file names it."""

    pid: int
    host: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether it is known to run: a process of this machine."""
        if not self.is_here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True


def try_lock(path: Path) -> int | None:
    """Locks a file, which is made where it is absent.

    The lock is the open file's: it lasts as long as any process has it open, children that
    inherited it included.

    Returns:
        The descriptor that holds it; None where another process does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems know no locks: there the file's word counts.
        holder = read_holder(path) if error.errno in _NO_LOCKS else None
        if error.errno not in _NO_LOCKS or (holder and holder.is_alive):
            os.close(descriptor)
            if isinstance(error, BlockingIOError) or holder:
                return None
            raise
    if not _is_open_at(descriptor, path):  # its holder removed it before we had it
        os.close(descriptor)
        return try_lock(path)
    return descriptor


def _is_open_at(descriptor: int, path: Path) -> bool:
    """Tells whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def write_holder(descriptor: int, pid: int) -> None:
    """Writes who holds a lock into its file."""
    content = json.dumps(asdict(Holder(pid, socket.gethostname())))
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content.encode(), 0)


def read_holder(path: Path) -> Holder | None:
    """Returns whom a lock's file names; None where it names nobody."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Holder(**json.loads(path.read_text("utf-8")))
    return None


def release(descriptor: int) -> None:
    """Gives a lock back."""
    os.ftruncate(descriptor, 0)
    os.close(descriptor)
