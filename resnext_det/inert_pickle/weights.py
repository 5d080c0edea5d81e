"""The names that weights files are written with, done here instead of called. Engine-neutral."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from resnext_det.inert_pickle.arrays import ArraysVocabulary
from resnext_det.inert_pickle.keys import add_pairs, check_key
from resnext_det.inert_pickle.passed_over import PASSED_OVER, PassedOver
from resnext_det.inert_pickle.tensors import (
    MOST_AXES,
    NUMBER_TYPES,
    OddTensor,
    StorageRef,
    TensorRef,
    TypeRef,
    storage_name,
    storage_ref,
    tensor_ref,
)
from resnext_det.inert_pickle.vocabulary import Budget, Name, Refused, shown

_MOST_ARGUMENTS = 16


class WeightsVocabulary(ArraysVocabulary):
    """Knows what state dicts and training checkpoints are written with.

    Arrays, torch's tensors, sizes, devices and types, the standard containers, and the classes of
    `passed_over`, whose objects are left out.

    Attributes:
        ignored: names of the classes that were passed over.
        storages: key of each storage that was named -> the type of its numbers.
        outside: whether persistent ids name storages, as in torch's files alone.
    """

    leaves = (*ArraysVocabulary.leaves, TensorRef, StorageRef, OddTensor, PassedOver, TypeRef)
    text_strings = True

    def __init__(self, budget: Budget, *, outside: bool) -> None:
        super().__init__(budget)
        self.ignored: set[str] = set()
        self.outside = outside
        self.storages: dict[str, str] = {}

    def name(self, module: Any, name: Any, opcode: str) -> Any:
        """Answers GLOBAL and STACK_GLOBAL."""
        text = f"{module}.{name}" if type(module) is str and type(name) is str else ""
        text = text.replace("numpy._core.", "numpy.core.")
        known = _NAMES.get(text.replace("__builtin__.", "builtins."))
        if known is not None:
            return known
        if text in PASSED_OVER:
            self.ignored.add(text)
            return PassedOver(text, is_class=True)
        if (owner := text.rpartition(".")[0]) in PASSED_OVER:  # a method, from protocol 4 on
            self.ignored.add(owner)
            return PassedOver(owner, is_class=False)
        if text.startswith("torch.") and text[6:] in NUMBER_TYPES:
            return TypeRef(text)
        if storage := storage_name(text):
            return storage
        try:
            return super().name(module, name, opcode)
        except Refused as error:
            raise Refused(f"{error}: it could run code; save the state_dict() alone") from None

    def call(self, function: Any, arguments: Any) -> Any:
        """Answers REDUCE."""
        if isinstance(function, PassedOver) and function.is_class:
            return PassedOver(function.text, is_class=False)
        if isinstance(function, Name) and type(arguments) is tuple and function.text in _CALLS:
            if len(arguments) > _MOST_ARGUMENTS:
                raise Refused(f"damaged: REDUCE of {shown(function)} with too many arguments")
            return _CALLS[function.text](self, *arguments)
        return super().call(function, arguments)

    def new(self, kind: Any, opcode: str) -> Any:
        """Answers NEWOBJ and NEWOBJ_EX."""
        if isinstance(kind, PassedOver) and kind.is_class:
            return PassedOver(kind.text, is_class=False)
        return super().new(kind, opcode)

    def build(self, target: Any, state: Any) -> Any:
        """Answers BUILD; the state of an OrderedDict is the `_metadata` of nn.Module, not kept."""
        if self.takes_anything(target):
            return target
        if isinstance(target, OrderedDict) and type(state) in (dict, OrderedDict):
            return target
        return super().build(target, state)

    def persistent(self, number: Any) -> Any:
        """Answers BINPERSID: a storage."""
        if not self.outside:
            return super().persistent(number)
        storage = storage_ref(number)
        if self.storages.setdefault(storage.key, storage.type) != storage.type:
            raise Refused(f"damaged: the storage {storage.key[:80]} has two types of numbers")
        return storage

    def takes_anything(self, target: Any) -> bool:
        """Tells whether it is an object that is passed over."""
        return isinstance(target, PassedOver) and not target.is_class

    def items(self, values: Any) -> list[Any]:
        """Returns the items that a container is made of, and pays for the container."""
        if type(values) not in (list, tuple, set, frozenset):
            raise Refused(f"not plain data: a container of {shown(values)} is refused")
        self.budget.spend(96 * len(values))
        return list(values)


def _tensor(
    self: WeightsVocabulary, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any
) -> TensorRef | OddTensor:
    metadata = rest[2] if len(rest) > 2 else None
    if isinstance(metadata, dict) and (metadata.get("neg") or metadata.get("conj")):
        return OddTensor("lazily negated")  # its numbers stand there with the other sign
    kind = storage.type if isinstance(storage, StorageRef) else ""
    return tensor_ref(storage, kind, offset, size, stride)


def _tensor_v3(
    self: WeightsVocabulary, storage: Any, offset: Any, size: Any, stride: Any,
    requires_grad: Any, hooks: Any, kind: Any, *rest: Any,
) -> TensorRef:  # fmt: skip
    if not isinstance(kind, TypeRef):
        raise Refused("damaged: a tensor without a type")
    return tensor_ref(storage, kind.text.removeprefix("torch."), offset, size, stride)


def _parameter(self: WeightsVocabulary, data: Any, *rest: Any) -> Any:
    if not isinstance(data, TensorRef | OddTensor):
        raise Refused(f"not plain data: a parameter of {shown(data)} is refused")
    return data


def _odd(kind: str) -> Callable[..., OddTensor]:
    def made(self: WeightsVocabulary, *arguments: Any) -> OddTensor:
        return OddTensor(kind)

    return made


def _size(self: WeightsVocabulary, sizes: Any = ()) -> tuple[Any, ...]:
    if type(sizes) not in (tuple, list) or len(sizes) > MOST_AXES:
        raise Refused("damaged: a torch.Size of something else")
    return tuple(sizes)


def _device(self: WeightsVocabulary, *parts: Any) -> str:
    if not parts or not all(type(part) in (str, int) for part in parts):
        raise Refused("damaged: a torch.device of something else")
    return ":".join(str(part)[:40] for part in parts)


def _layout(self: WeightsVocabulary, name: Any) -> PassedOver:
    return PassedOver("torch.layout", is_class=False)


def _ordered(self: WeightsVocabulary, pairs: Any = ()) -> OrderedDict[Any, Any]:
    result: OrderedDict[Any, Any] = OrderedDict()
    for pair in self.items(pairs):
        if type(pair) not in (tuple, list) or len(pair) != 2:
            raise Refused("damaged: a collections.OrderedDict of something other than pairs")
        add_pairs(result, list(pair))
    return result


def _counted(self: WeightsVocabulary, counts: Any = None) -> dict[Any, Any]:
    if counts is not None and type(counts) is not dict:
        raise Refused("damaged: a collections.Counter of something other than a dictionary")
    return counts or {}


def _default(self: WeightsVocabulary, factory: Any = None) -> dict[Any, Any]:
    if factory is not None and not isinstance(factory, Name):
        raise Refused(f"not plain data: a collections.defaultdict of {shown(factory)} is refused")
    return {}


def _member(self: WeightsVocabulary, owner: Any, name: Any) -> PassedOver:
    if not isinstance(owner, PassedOver) or type(name) is not str:
        raise Refused(f"not plain data: REDUCE of 'builtins.getattr' of {shown(owner)} is refused")
    return PassedOver(owner.text, is_class=False)


def _list(self: WeightsVocabulary, values: Any = ()) -> list[Any]:
    return self.items(values)


def _dict(self: WeightsVocabulary) -> dict[Any, Any]:
    return {}


def _set(self: WeightsVocabulary, values: Any = ()) -> set[Any]:
    return set(map(check_key, self.items(values)))


def _frozenset(self: WeightsVocabulary, values: Any = ()) -> frozenset[Any]:
    return frozenset(map(check_key, self.items(values)))


def _from_buffer(
    self: WeightsVocabulary, data: Any, kind: Any, shape: Any, order: Any
) -> np.ndarray:
    """An array as NumPy writes it in protocol 5 (numpy/_core/numeric.py, _frombuffer)."""
    return self.array(shape, kind, data, fortran=order == "F")


_CALLS: Mapping[str, Callable[..., Any]] = MappingProxyType({
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_sparse_tensor": _odd("sparse"),
    "torch._utils._rebuild_meta_tensor_no_storage": _odd("meta"),
    "torch._utils._rebuild_qtensor": _odd("quantized"),
    "torch.serialization._get_layout": _layout,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counted,
    "collections.defaultdict": _default,
    "builtins.getattr": _member,
    "builtins.list": _list,
    "builtins.dict": _dict,
    "builtins.set": _set,
    "builtins.frozenset": _frozenset,
    "numpy.core.numeric._frombuffer": _from_buffer,
})  # fmt: skip
_CALLED = {text: Name(text) for text in _CALLS}
# In the arguments of _rebuild_qtensor, or a defaultdict's factory.
_NAMES: Mapping[str, Name] = MappingProxyType({
    **_CALLED,
    **{
        text: Name(text)
        for text in ("torch.per_tensor_affine", "torch.per_channel_affine", "builtins.int")
    },
})  # fmt: skip
