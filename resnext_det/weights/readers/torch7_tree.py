"""The network in a Torch7 file's tree of objects, and its tensors by path. Engine-neutral."""

from collections.abc import Iterator
from typing import Any, TypeGuard

from torch import Tensor

from resnext_det.errors import one_line
from resnext_det.weights.readers.torch7_objects import Storage, Table, TorchObject
from resnext_det.weights.readers.torch7_stream import Torch7Error

_PLACES = ("model", "net", "network")
_WRAPPERS = ("nn.DataParallelTable", "nn.GPU")  # each holds the network as its first module
_MODULES = ("nn.", "cudnn.", "fbnn.", "cunn.", "inn.")
# Buffers that share one storage stand in a file once; each name of theirs is read and summed up.
_MOST_PER_BYTE, _SMALL = 16, 1 << 20
_MAX_NAME = 300  # of a tensor; in a ResNet about 70


def find_network(root: Any) -> TorchObject:
    """Finds the network: the object itself, or the entry `model` of a checkpoint's table.

    Args:
        root: what the file holds.

    Returns:
        Its outermost module, without the wrapper that spreads it over GPUs.

    Raises:
        Torch7Error: there is none, or several and none is called `model`.
    """
    module: TorchObject = root if _is_module(root) else _module_of_table(root)
    for _ in range(2):
        if module.class_name in _WRAPPERS:
            inner = module.fields.get("modules")
            inner = inner.get(1) if isinstance(inner, Table) else None
            if not _is_module(inner):
                raise Torch7Error(f"its {module.class_name} wraps no network")
            module = inner
    return module


def name_tensors(network: TorchObject, file_bytes: int) -> dict[str, Tensor]:
    """Returns path -> tensor, such as `modules.5.modules.1.weight`, of all below a module.

    An object that is met again, as in a cycle, is gone into once; a tensor has each of its names.
    Empty ones, the buffers that `clearState` leaves, are left out.

    Args:
        network: the outermost module.
        file_bytes: size of the file.

    Raises:
        Torch7Error: a path is longer than any network's, two tensors have one path, or they use
            the file's bytes many times over.
    """
    tensors: dict[str, Tensor] = {}
    left = _SMALL + _MOST_PER_BYTE * file_bytes
    seen = {id(network)}
    waiting: list[tuple[str, TorchObject | Table]] = [("", network)]
    while waiting:
        path, container = waiting.pop()
        inside: list[tuple[str, TorchObject | Table]] = []
        for name, value in _entries(container, path):
            if isinstance(value, Tensor):
                if name in tensors:
                    raise Torch7Error(f"two tensors are called {name}")
                left -= value.nbytes
                if left < 0:
                    raise Torch7Error(
                        "its tensors use the file's bytes many times over; save it after "
                        "network:clearState()"
                    )
                if value.numel():
                    tensors[name] = value
            elif id(value) not in seen:
                seen.add(id(value))
                inside.append((name, value))
        waiting += reversed(inside)
    return tensors


def _entries(
    container: TorchObject | Table, path: str
) -> Iterator[tuple[str, TorchObject | Table | Tensor]]:
    table = container.fields if isinstance(container, TorchObject) else container
    for key, value in table.items():
        if isinstance(value, Table | TorchObject | Tensor):
            name = f"{path}.{key}" if path else str(key)
            if len(name) > _MAX_NAME:
                raise Torch7Error(f"a name of over {_MAX_NAME} characters ({one_line(name[:40])}…)")
            yield one_line(name), value


def _is_module(value: Any) -> TypeGuard[TorchObject]:
    return isinstance(value, TorchObject) and value.class_name.startswith(_MODULES)


def _module_of_table(root: Any) -> TorchObject:
    if isinstance(root, Table):
        for place in _PLACES:
            if _is_module(root.get(place)):
                return root[place]
        modules = [key for key, value in root.items() if _is_module(value)]
        if len(modules) == 1:
            return root[modules[0]]
        if modules:
            names = one_line(", ".join(str(key)[:40] for key in modules[:3]))
            raise Torch7Error(f"holds several networks ({names}) and none is called model")
        named = root.get("modelFile")  # in fb.resnet.torch's latest.t7
        if isinstance(named, str):
            raise Torch7Error(f"holds no network, but names one: {one_line(named[:80])}")
        names = one_line(", ".join(str(key)[:40] for key in list(root)[:5]))
        raise Torch7Error(f"holds no network, but a table of {names or 'nothing'}; give model_N.t7")
    raise Torch7Error(f"holds no network, but {_described(root)}; give model_N.t7")


def _described(root: Any) -> str:
    if isinstance(root, Tensor):
        return "one tensor"
    if isinstance(root, TorchObject):
        return f"an object of class {root.class_name}"
    if isinstance(root, Storage):
        return "a storage"
    return {str: "a text", float: "a number", bool: "a boolean", type(None): "nil"}.get(
        type(root), "a function"
    )
