"""Who holds a folder: a lock that ends with its process, however that ends. Engine-neutral.

In the lowest layer.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

_NO_LOCKS = (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK)
_LOCAL_KINDS = frozenset(("beegfs",))
_LOCAL_OPTIONS = frozenset(("nolock", "local_lock=flock", "local_lock=all", "localflock"))
_MOST_BYTES = 4096
"""Of what a lock's file says."""
_MOUNTS = Path("/proc/self/mountinfo")
_not_for_children: set[int] = set()


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock, as its file names it.

    Attributes:
        pid: its number.
        host: its machine.
        started: what tells it from a later process of that number; empty where nobody knows.
    """

    pid: int
    host: str
    started: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_this_process(self) -> bool:
        """Whether it is the one that asks."""
        return self.is_here and self.pid == os.getpid()

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
        return not self.started or _start_of(self.pid) in ("", self.started)


def try_lock(path: Path) -> int | None:
    """Locks a file, which is made where it is absent.

    The lock is the open file's: it lasts as long as any process has it open, children that
    inherited it included.

    Returns:
        The descriptor that holds it; None where another process does.

    Raises:
        OSError: it cannot be made or locked, or is a link or no plain file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _open(path, os.O_RDWR | os.O_CREAT)
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
    if not _is_at(descriptor, path):  # its holder has just removed it, see `release`
        os.close(descriptor)
        return try_lock(path)
    return descriptor


def write_holder(descriptor: int, pid: int) -> None:
    """Writes who holds a lock into its file."""
    content = json.dumps(asdict(Holder(pid, socket.gethostname(), _start_of(pid))))
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content.encode(), 0)


def read_holder(path: Path) -> Holder | None:
    """Returns whom a lock's file names; None where it names nobody.

    Anybody may have written it: a host that is no printable text, or a number that no process has
    (signals to 0 and -1 go to many), names nobody.
    """
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
        with open(_open(path, os.O_RDONLY), "rb") as file:
            holder = Holder(**json.loads(file.read(_MOST_BYTES)))
        texts = (holder.host, holder.started)
        if all(isinstance(text, str) and text.isprintable() for text in texts) and (
            type(holder.pid) is int and 0 < holder.pid < 2**31
        ):
            return holder
    return None


def is_seen_elsewhere(descriptor: int) -> bool:
    """Tells whether other machines that have the folder see a lock, as far as this one knows.

    Some network file systems are mounted so that locks end at each machine (nfs(5): local_lock;
    mount.lustre(8): localflock; BeeGFS by default), or know none.

    Args:
        descriptor: as `try_lock` returned it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    kind, options = _mount_of(descriptor)
    return kind not in _LOCAL_KINDS and not _LOCAL_OPTIONS & options


def keep_from_children(descriptor: int) -> None:
    """Ends a lock with this process alone, whatever processes it has forked by then.

    Those of a data loader outlive a killed process by seconds.
    """
    _not_for_children.add(descriptor)


def release(descriptor: int, remove: Path | None = None) -> None:
    """Gives a lock back.

    Args:
        descriptor: holds it.
        remove: its file, where that is not to stay.
    """
    _not_for_children.discard(descriptor)
    if remove:
        with contextlib.suppress(OSError):
            remove.unlink()
    os.ftruncate(descriptor, 0)
    os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    """Opens a plain file: what a link names is not written to, and a pipe not waited on."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.EINVAL, "a link", str(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    """Tells whether a file that is open is the one of that name, and not one removed since."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _mount_of(descriptor: int) -> tuple[str, set[str]]:
    """Kind and options of the file system that a file is on; "" and none where nobody knows."""
    device = os.fstat(descriptor).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError):
        for line in _MOUNTS.read_text("utf-8", errors="replace").splitlines():
            mount, _, rest = line.partition(" - ")  # proc(5): mountinfo
            if mount.split()[2] == wanted:
                kind, _, options = rest.split(" ", 2)
                return kind, {*options.split(",")}
    return "", set()


def _start_of(pid: int) -> str:
    """When a process of this machine began, as Linux counts; empty elsewhere."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return ""
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"  # proc(5): starttime, field 22


def _close_in_child() -> None:
    for descriptor in _not_for_children:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _not_for_children.clear()


os.register_at_fork(after_in_child=_close_in_child)
