"""Runs mmpretrain's and pycls' own networks and keeps names and logits. Engine-neutral.

    python -m tests.weights.naming.make_foreign_golden mmpretrain    # writes golden/mmpretrain.json
    python -m tests.weights.naming.make_foreign_golden pycls         # writes golden/pycls.json

Needs mmpretrain 1.2.0 with mmengine 0.10.7 and mmcv-lite 2.1.0, or pycls' repository on the path:
neither is among the packages of the tests. The numbers of each network are those of `foreign.fill`;
the image goes through the library's own preprocessing.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.weights.naming.foreign import CLASSES, SIDE, digest_of_names, fill, scene

HERE = Path(__file__).parent / "golden"
WITH_NAMES = ("resnet50", "resnext50_32x4d")
MMPRETRAIN: dict[str, dict[str, Any]] = {
    **{f"resnet{depth}": {"type": "ResNet", "depth": depth} for depth in (18, 34, 50, 101, 152)},
    "resnet50_caffe": {"type": "ResNet", "depth": 50, "style": "caffe"},
    **{
        f"resnext{depth}_{groups}x{width}d": {
            "type": "ResNeXt", "depth": depth, "groups": groups, "width_per_group": width,
        }
        for depth, groups, width in ((50, 32, 4), (101, 32, 4), (101, 32, 8), (152, 32, 4))
    },
    "resnet18_cifar": {"type": "ResNet_CIFAR", "depth": 18},
}  # fmt: skip
_RESNET = ["MODEL.TYPE", "resnet", "RESNET.TRANS_FUN", "bottleneck_transform"]
_ANYNET = ["MODEL.TYPE", "anynet", "ANYNET.STEM_TYPE", "res_stem_in", "ANYNET.STEM_W", 64,
           "ANYNET.BLOCK_TYPE", "res_bottleneck_block", "ANYNET.STRIDES", [1, 2, 2, 2],
           "ANYNET.WIDTHS", [256, 512, 1024, 2048], "ANYNET.BOT_MULS", [0.5] * 4,
           "ANYNET.GROUP_WS", [4, 8, 16, 32]]  # fmt: skip


def _pycls_options(depth: int, groups: int, width: int, *, in_1x1: bool = False) -> list[Any]:
    numbers = {"MODEL.DEPTH": depth, "RESNET.NUM_GROUPS": groups, "RESNET.WIDTH_PER_GROUP": width}
    return [*_RESNET, *(word for pair in numbers.items() for word in pair),
            "RESNET.STRIDE_1X1", in_1x1]  # fmt: skip


PYCLS = {
    "resnet50": _pycls_options(50, 1, 64),
    "resnet101": _pycls_options(101, 1, 64),
    "resnet152": _pycls_options(152, 1, 64),
    "resnext50_32x4d": _pycls_options(50, 32, 4),
    "resnext101_32x4d": _pycls_options(101, 32, 4),
    "resnet50_msra": _pycls_options(50, 1, 64, in_1x1=True),
    "resnext50_32x4d_anynet": [*_ANYNET, "ANYNET.DEPTHS", [3, 4, 6, 3]],
    "resnet20_cifar": ["MODEL.TYPE", "resnet", "MODEL.DEPTH", 20, "TRAIN.DATASET", "cifar10",
                       "TEST.DATASET", "cifar10"],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=("mmpretrain", "pycls"))
    library = parser.parse_args().library
    rows = _run_mmpretrain() if library == "mmpretrain" else _run_pycls()
    HERE.mkdir(exist_ok=True)
    text = json.dumps(rows, indent=1, sort_keys=True) + "\n"
    (HERE / f"{library}.json").write_text(text)


def _run_mmpretrain() -> dict[str, Any]:
    import mmpretrain
    from mmpretrain.registry import MODELS

    rows = {}
    for name, backbone in MMPRETRAIN.items():
        channels = 512 if backbone["depth"] < 50 else 2048
        cifar = name.endswith("cifar")
        mean, std = (
            ([125.307, 122.961, 113.8575], [51.5865, 50.847, 51.255])
            if cifar
            else ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
        )
        model = MODELS.build({
            "type": "ImageClassifier", "backbone": backbone,
            "neck": {"type": "GlobalAveragePooling"},
            "head": {"type": "LinearClsHead", "num_classes": CLASSES, "in_channels": channels},
            "data_preprocessor": {"mean": mean, "std": std, "to_rgb": not cifar},
        })  # fmt: skip
        # Images come as OpenCV reads them, CIFAR's as they are stored, in RGB.
        pixels = scene() if cifar else scene()[::-1]
        image = torch.from_numpy(np.ascontiguousarray(pixels))

        def prepare(model: nn.Module = model, image: Tensor = image) -> Tensor:
            return model.data_preprocessor({"inputs": [image]})["inputs"]

        rows[name] = _row(name, model, prepare)
    return {"library": f"mmpretrain {mmpretrain.__version__}", "networks": rows}


def _run_pycls() -> dict[str, Any]:
    from pycls.core import builders
    from pycls.core.config import cfg
    from pycls.datasets import cifar10, imagenet

    rows = {}
    defaults = cfg.clone()
    for name, options in PYCLS.items():
        cfg.merge_from_other_cfg(defaults)
        data = {"TRAIN.DATASET": "imagenet", "TEST.DATASET": "imagenet", "TRAIN.IM_SIZE": SIDE,
                "TEST.IM_SIZE": SIDE, "MODEL.NUM_CLASSES": CLASSES}  # fmt: skip
        cfg.merge_from_list([*(word for pair in data.items() for word in pair), *options])
        model = builders.build_model()

        def prepare(cifar: bool = name.endswith("cifar")) -> Tensor:
            # CIFAR's images are stored in RGB; others come as OpenCV reads them.
            kind = cifar10.Cifar10 if cifar else imagenet.ImageNet
            data = object.__new__(kind)
            data._split = "test" if cifar else "val"
            pixels = scene().astype(np.float32) if cifar else scene()[::-1].transpose(1, 2, 0)
            return torch.from_numpy(data._prepare_im(pixels))[None]

        rows[name] = _row(name, model, prepare) | {"config": cfg.dump()}
    return {"library": "pycls 5719de641657c251f807c20a1fcf8ef6f4b60144", "networks": rows}


def _row(name: str, model: nn.Module, prepare: Callable[[], Tensor]) -> dict[str, Any]:
    shapes: Mapping[str, Any] = {key: list(t.shape) for key, t in model.state_dict().items()}
    model.load_state_dict(fill(shapes))
    with torch.no_grad():
        logits = model.eval()(prepare())[0]
    row = {"names": len(shapes), "crc32": digest_of_names(shapes), "logits": logits.tolist()}
    told = {key: " ".join(map(str, shape)) for key, shape in shapes.items()}
    return row | ({"shapes": told} if name in WITH_NAMES else {})


if __name__ == "__main__":
    main()
