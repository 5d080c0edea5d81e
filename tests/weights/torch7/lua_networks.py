"""The networks of models/resnext.lua and models/resnet.lua, as trees of Lua objects.

Source: facebookresearch/ResNeXt and facebook/fb.resnet.torch. Weights are random, last norms of a
branch small, so that activations stay near 1.
"""

import numpy as np

from tests.weights.torch7.lua_writer import LuaObject, empty, lua_list, tensor


class Net:
    """Builds modules with random weights.

    `packages` are those of convolutions and norms; `kind` is the tensors'.
    """

    def __init__(self, seed=0, *, conv="cudnn", norm="nn", kind="Float", eps=1e-5, bias=None):
        self.random = np.random.default_rng(seed)
        self.conv_package, self.norm_package, self.kind = conv, norm, kind
        self.eps, self.bias = eps, bias
        self.old_std = False
        self.flat_weights = False

    def tensor(self, values):
        return tensor(values, self.kind)

    def module(self, name, **fields):
        common = {"_type": f"torch.{self.kind}Tensor", "train": False}
        return LuaObject(name, common | {"output": empty(self.kind)} | fields)

    def conv(self, inputs, outputs, kernel, stride=1, pad=0, groups=1):
        scale = np.sqrt(2 / (kernel**2 * inputs / groups))
        shape = (outputs, inputs // groups, kernel, kernel)
        weight = self.random.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        fields = {"nInputPlane": inputs, "nOutputPlane": outputs, "kW": kernel, "kH": kernel}
        fields |= {"dW": stride, "dH": stride, "padW": pad, "padH": pad}
        if self.conv_package == "cudnn":
            fields["groups"] = groups
        else:
            assert groups == 1
        if self.bias is not None:
            value = self.random.uniform(-0.3, 0.3, outputs) if self.bias else np.zeros(outputs)
            fields["bias"] = self.tensor(value)
        name = f"{self.conv_package}.SpatialConvolution"
        if self.flat_weights:
            weight, name = weight.reshape(outputs, -1), f"{name}MM"
        return self.module(name, weight=self.tensor(weight), **fields)

    def norm(self, channels, low=0.5, high=1.5):
        var = self.random.uniform(0.5, 1.5, channels)
        fields = {
            "weight": self.tensor(self.random.uniform(low, high, channels)),
            "bias": self.tensor(self.random.uniform(-0.2, 0.2, channels)),
            "running_mean": self.tensor(self.random.uniform(-0.2, 0.2, channels)),
            "eps": self.eps,
            "momentum": 0.1,
            "affine": True,
        }
        if self.old_std:
            fields["running_std"] = self.tensor((var + self.eps) ** -0.5)
        else:
            fields["running_var"] = self.tensor(var)
        module = self.module(f"{self.norm_package}.SpatialBatchNormalization", **fields)
        module.version = 1 if self.old_std else 2
        return module

    def relu(self):
        return self.module("cudnn.ReLU", inplace=True, mode="CUDNN_ACTIVATION_RELU")

    def container(self, name, *modules):
        return self.module(name, modules=lua_list(modules))

    def sequential(self, *modules):
        return self.container("nn.Sequential", *modules)

    def shortcut(self, inputs, outputs, stride, kind="B"):
        if kind == "C" or (kind == "B" and inputs != outputs):
            return self.sequential(self.conv(inputs, outputs, 1, stride), self.norm(outputs))
        if inputs != outputs:
            pad = self.container("nn.Concat", self.module("nn.Identity"))
            pool = self.module("nn.SpatialAveragePooling", kW=1, kH=1, dW=stride, dH=stride)
            return self.sequential(pool, pad)
        return self.module("nn.Identity")

    def add(self, branch, shortcut):
        table = self.container("nn.ConcatTable", branch, shortcut)
        return self.sequential(table, self.module("nn.CAddTable", inplace=True), self.relu())

    def basic(self, inputs, n, stride, kind="B"):
        branch = [self.conv(inputs, n, 3, stride, 1), self.norm(n), self.relu()]
        branch += [self.conv(n, n, 3, 1, 1), self.norm(n, 0.1, 0.3)]
        return self.add(self.sequential(*branch), self.shortcut(inputs, n, stride, kind))

    def bottleneck(self, inputs, outputs, stride, *, width, groups, form, in_1x1=False, kind="B"):
        """form "C" with one group is resnet.lua's bottleneck too."""
        first, second = (stride, 1) if in_1x1 else (1, stride)
        if form == "C":
            d = width * groups
            branch = [self.conv(inputs, d, 1, first), self.norm(d), self.relu()]
            branch += [self.conv(d, d, 3, second, 1, groups), self.norm(d), self.relu()]
        else:
            paths = (self._path(inputs, width, first, second) for _ in range(groups))
            branch = [self.container("nn.ConcatTable", *paths)]
            branch += [self.module("nn.JoinTable", dimension=2)]
        branch += [self.conv(width * groups, outputs, 1), self.norm(outputs, 0.1, 0.3)]
        return self.add(self.sequential(*branch), self.shortcut(inputs, outputs, stride, kind))

    def _path(self, inputs, d, first, second):
        start = [self.conv(inputs, d, 1, first), self.norm(d), self.relu()]
        return self.sequential(*start, self.conv(d, d, 3, second, 1), self.norm(d), self.relu())

    def linear(self, inputs, classes):
        weight = self.random.standard_normal((classes, inputs), dtype=np.float32) / 16
        bias = self.random.uniform(-0.2, 0.2, classes)
        return self.module("nn.Linear", weight=self.tensor(weight), bias=self.tensor(bias))

    def network(
        self,
        counts,
        *,
        n=64,
        width=64,
        groups=1,
        form="C",
        classes=1000,
        stem="imagenet",
        pool=7,
        stem_channels=64,
        **block,
    ):
        """resnext.lua's createModel; form "basic" has resnet.lua's basic blocks."""
        layers = [self.conv(3, stem_channels, 7, 2, 3)]
        if stem == "cifar":
            layers = [self.conv(3, stem_channels, 3, 1, 1)]
        layers += [self.norm(stem_channels), self.relu()]
        if stem == "imagenet":
            window = {"kW": 3, "kH": 3, "dW": 2, "dH": 2, "padW": 1, "padH": 1}
            layers += [self.module("nn.SpatialMaxPooling", **window, ceil_mode=False)]
        inputs = stem_channels
        for i, count in enumerate(counts):
            stage = []
            for j in range(count):
                stride = 2 if i and not j else 1
                if form == "basic":
                    stage.append(self.basic(inputs, n << i, stride, **block))
                    inputs = n << i
                else:
                    sizes = {"width": width << i, "groups": groups, "form": form}
                    stage.append(self.bottleneck(inputs, 4 * n << i, stride, **sizes, **block))
                    inputs = 4 * n << i
            layers.append(self.sequential(*stage))
        average = {"kW": pool, "kH": pool, "dW": 1, "dH": 1, "padW": 0, "padH": 0}
        layers += [self.module("cudnn.SpatialAveragePooling", **average)]
        layers += [self.module("nn.View", numElements=inputs, numInputDims=3)]
        return self.sequential(*layers, self.linear(inputs, classes))


# Small enough to be quick; as arguments of `Net.network`.
TINY = {"n": 8, "stem_channels": 8, "classes": 7, "pool": 2}
TINY_C = TINY | {"counts": (2, 2, 2, 2), "width": 2, "groups": 4, "form": "C"}
TINY_B = TINY_C | {"form": "B"}
TINY_BASIC = TINY | {"counts": (2, 2, 2, 2), "form": "basic"}


def modules_of(module):
    """All modules below one, itself first."""
    yield module
    for child in module.fields.get("modules", {}).values():
        yield from modules_of(child)
