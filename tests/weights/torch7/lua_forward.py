"""Computes what nn's modules compute in evaluation, from the written tree, with plain torch."""

import numpy as np
import torch
import torch.nn.functional as F


def values(tensor):
    """A LuaTensor's numbers, gathered by its strides."""
    data, item = tensor.storage.values, tensor.storage.values.itemsize
    view = np.lib.stride_tricks.as_strided(
        data[tensor.offset :], tensor.sizes, tuple(s * item for s in tensor.strides)
    )
    return torch.tensor(np.array(view, dtype=np.float32))


def forward(module, x):
    """(N, 3, H, W) -> logits."""
    fields = module.fields
    children = list(fields.get("modules", {}).values())
    kind = module.name.split(".")[1]
    if kind in ("Sequential", "DataParallelTable"):
        for child in children:
            x = forward(child, x)
        return x
    return _KINDS[kind](fields, children, x)


def _convolve(f, _, x):
    weight = values(f["weight"]).reshape(f["nOutputPlane"], -1, f["kH"], f["kW"])
    bias = values(f["bias"]) if "bias" in f else None
    padding = (f["padH"], f["padW"])
    return F.conv2d(x, weight, bias, (f["dH"], f["dW"]), padding, 1, f.get("groups", 1))


def _normalise(f, _, x):
    if "running_std" in f:
        inverse = values(f["running_std"])
    else:
        inverse = (values(f["running_var"]).double() + f["eps"]).rsqrt().float()
    x = (x - values(f["running_mean"])[:, None, None]) * inverse[:, None, None]
    return x * values(f["weight"])[:, None, None] + values(f["bias"])[:, None, None]


_KINDS = {
    "SpatialConvolution": _convolve,
    "SpatialConvolutionMM": _convolve,
    "SpatialBatchNormalization": _normalise,
    "ReLU": lambda f, c, x: x.relu(),
    "Identity": lambda f, c, x: x,
    "ConcatTable": lambda f, children, x: [forward(child, x) for child in children],
    "CAddTable": lambda f, c, x: x[0] + x[1],
    "JoinTable": lambda f, c, x: torch.cat(x, f["dimension"] - 1),
    "SpatialMaxPooling": lambda f, c, x: F.max_pool2d(x, f["kW"], f["dW"], f["padW"]),
    "SpatialAveragePooling": lambda f, c, x: F.avg_pool2d(x, f["kW"], f["dW"]),
    "View": lambda f, c, x: x.reshape(-1, f["numElements"]),
    "Linear": lambda f, c, x: F.linear(x, values(f["weight"]), values(f["bias"])),
}
