"""Parameters, FLOPs in both conventions and activations of a network. Engine-neutral."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from resnext_det.modeling.build import build_classifier
from resnext_det.modeling.conv import DeformConv2d
from resnext_det.modeling.norms import FrozenBatchNorm2d
from resnext_det.modeling.variants import get_variant


@dataclass(frozen=True)
class Complexity:
    """Cost of one image.

    Attributes:
        params: weights and biases, those of frozen norms included; no running statistics.
        flops: multiply-adds of convolutions and linear layers (the paper, Detectron2); of a
            deformable one as many as of a plain one and its offsets.
        flops_table: `flops`, plus 2 per norm output element, 1 per ReLU output element,
            pooling input elements and linear biases: the published model table's count.
        activations: output elements of convolutions and linear layers.
    """

    params: int
    flops: int
    flops_table: int
    activations: int

    def as_dict(self) -> dict[str, int]:
        """Returns the four counts by name."""
        return asdict(self)


def measure_complexity(module: nn.Module, image_size: int = 224) -> Complexity:
    """Counts a network's cost on one square image.

    Build the module under `torch.device("meta")` and nothing is computed or allocated. That
    is why torch's own counter serves here: fvcore's traces, which the meta device does not
    allow. A test compares the two.

    Args:
        module: maps (N, 3, H, W) to a tensor or a dict of tensors; its mode is kept.
        image_size: H and W in pixels.
    """
    outputs: list[int] = []
    matrix = _matrix_costs(module)
    noted = {op: _noting(cost, outputs) for op, cost in matrix.items()}
    counts = _count(module, image_size, _OTHER_COSTS | noted)
    multiply_adds = sum(counts[op] for op in matrix) // 2  # torch counts both operations
    other = sum(counts[op] for op in _OTHER_COSTS)
    biases = sum(m.out_features for m in module.modules() if isinstance(m, nn.Linear))
    return Complexity(
        params=count_parameters(module),
        flops=multiply_adds,
        flops_table=multiply_adds + other + biases,
        activations=sum(outputs),
    )


def measure_variant(name: str) -> Complexity:
    """Counts the cost of a named variant's classifier at the size the paper states it for."""
    variant = get_variant(name)
    with torch.device("meta"):
        classifier = build_classifier(name, variant.num_classes)
    return measure_complexity(classifier, variant.image_size)


def count_parameters(module: nn.Module) -> int:
    """Counts weights and biases, whether trained or frozen."""
    frozen = [m for m in module.modules() if isinstance(m, FrozenBatchNorm2d)]
    affine = sum(m.weight.numel() + m.bias.numel() for m in frozen)
    return affine + sum(parameter.numel() for parameter in module.parameters())


def _count(module: nn.Module, image_size: int, costs: dict[Any, Callable]) -> Counter[Any]:
    """Runs the module once, and adds up the cost of each operation on the way."""
    device = next(module.parameters()).device
    image = torch.empty(1, 3, image_size, image_size, device=device)
    training = module.training
    module.eval()
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=costs) as counter:
        module(image)
    module.train(training)
    return Counter(counter.get_flop_counts()["Global"])


def _matrix_costs(module: nn.Module) -> dict[Any, Callable]:
    """What convolutions and linear layers cost, in multiplications and additions."""
    costs = {torch.ops.aten.convolution: _convolution, torch.ops.aten.addmm: _linear}
    if any(isinstance(m, DeformConv2d) for m in module.modules()):
        import torchvision.ops  # noqa: F401  registers it; a second to import

        costs[torch.ops.torchvision.deform_conv2d] = _deformable
    return costs


def _noting(cost: Callable, outputs: list[int]) -> Callable:
    """A cost that takes down on the way how many elements come out."""

    def count(*args: Any, out_shape: Any, **options: Any) -> int:
        outputs.append(prod(out_shape))
        return cost(*args, out_shape=out_shape, **options)

    return count


def _convolution(input_shape: Any, weight_shape: Any, *rest: Any, out_shape: Any, **__: Any) -> int:
    # After the weight: bias, stride, padding, dilation, whether it is transposed.
    return conv_flop_count(input_shape, weight_shape, out_shape, transposed=rest[4])


def _linear(_bias: Any, input_shape: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    return 2 * prod(out_shape) * input_shape[-1]


def _deformable(_input: Any, weight_shape: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    """Those of the convolution alone; the interpolation is not counted."""
    return 2 * prod(out_shape) * prod(weight_shape[1:])


def _norm(input_shape: Any, *_: Any, **__: Any) -> int:
    return 2 * prod(input_shape)


def _input_elements(input_shape: Any, *_: Any, **__: Any) -> int:
    return prod(input_shape)


_OTHER_COSTS: dict[Any, Callable] = {
    torch.ops.aten._native_batch_norm_legit_no_training: _norm,
    torch.ops.aten.native_batch_norm: _norm,
    torch.ops.aten.native_group_norm: _norm,
    torch.ops.aten.relu: _input_elements,
    torch.ops.aten.relu_: _input_elements,
    torch.ops.aten.max_pool2d_with_indices: _input_elements,
    torch.ops.aten.mean: _input_elements,  # what global average pooling becomes
}
