"""What a reader finds in a weights file, before its names are given a meaning. Engine-neutral."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

Container = Literal["torch", "torch-legacy", "pickle", "torch7", "safetensors", "memory"]


@dataclass(frozen=True)
class FileContent:
    """The tensors of a file and the plain data beside them; nothing of it has been executed.

    Attributes:
        container: the form of the file; "memory" where there is none.
        tensors: name in the file -> tensor on the CPU. Names are the file's own, but that what
            wrappers put before them is gone (`module.`, `_orig_mod.`, a trainer's `model.`).
        extras: what stands beside them, plain data only: `config`, `class_names`, `cfg`,
            `__author__`, a safetensors header's entries, …; of a Torch7 file its network, inert,
            as `tree`.
        ignored: names of known classes whose objects were passed over, such as
            "argparse.Namespace"; none of them was imported.
    """

    container: Container
    tensors: Mapping[str, Tensor]
    extras: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
