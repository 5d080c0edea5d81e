"""Which norm a network has, told by the names of its tensors. Engine-neutral."""

from collections.abc import Iterable


def norm_of(keys: Iterable[str]) -> str:
    """Returns "BN" or "GN" for a state dict in our names; "" for one without norms.

    A group norm has a weight and a bias, and no statistics.
    """
    leaves = {key.rpartition(".")[2] for key in keys if ".norm." in key}
    return "BN" if "running_var" in leaves else "GN" if leaves else ""
