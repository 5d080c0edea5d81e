"""What processes take of their machine: cores, memory and network. Engine-neutral."""

import ctypes
import os
import platform
import socket
import struct
import sys

import torch

_SIOCGIFADDR = 0x8915
"""Linux's request for an interface's IPv4 address (netdevice(7))."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""
_KEPT_BYTES, _LARGEST_IN_HEAP = 2**30, 2**25
"""Free bytes at the top of the heap that stay there; blocks from this size on are mapped each by
itself (the largest that glibc takes on 64 bits)."""


def share_cores(processes: int) -> None:
    """Divides the cores among the processes of this machine, unless the user has done it.

    Torch would give each process all of them. torchrun sets OMP_NUM_THREADS itself, and SLURM
    says in SLURM_CPUS_PER_TASK what it bound a process to.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    torch.set_num_threads(int(given) if given.isdecimal() else max(1, cores() // processes))


def cores() -> int:
    """Returns the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory() -> bool:
    """Lets glibc keep freed memory for the next iteration; elsewhere does nothing.

    On a CPU, feature maps come and go with each iteration. By default glibc gives freed blocks
    of more than 128 KiB back to the kernel, which has to clear them when they are asked for again.

    Returns:
        Whether this is Linux with glibc and it agreed.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wishes = {_M_TRIM_THRESHOLD: _KEPT_BYTES, _M_MMAP_THRESHOLD: _LARGEST_IN_HEAP}
    agreed = [mallopt(parameter, value) == 1 for parameter, value in wishes.items()]
    return all(agreed)


def name_interface(address: tuple[str, int]) -> None:
    """Sets GLOO_SOCKET_IFNAME to the interface that leads to `address`, unless it is set.

    Gloo takes the one that the host's own name resolves to, which on many systems is the
    loopback: the other machines would look for this one on themselves.
    """
    if "GLOO_SOCKET_IFNAME" in os.environ or not sys.platform.startswith("linux"):
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(address)  # a datagram socket: chooses the route, sends nothing
        except OSError:
            return
        own = probe.getsockname()[0]
        found = (name for _, name in socket.if_nameindex() if _address_of(probe, name) == own)
        name = next(found, None)
    if name is not None:
        os.environ["GLOO_SOCKET_IFNAME"] = name


def _address_of(probe: socket.socket, interface: str) -> str | None:
    import fcntl  # Unix only

    request = struct.pack("256s", interface.encode()[:15])
    try:
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
    except OSError:  # it has no such address
        return None
    return socket.inet_ntoa(answer[20:24])
