"""FCOS with FPN on a ResNeXt or ResNet, as the parts of a LazyConfig. Detectron2.

Source: Detectron2's configs/common/models/fcos.py and COCO-Detection/fcos_R_50_FPN_1x.py, with this
project's backbone and its pixels: RGB, ImageNet's mean and deviation, stride in the 3x3.
"""

from typing import Any

import torch
from detectron2.config import LazyCall
from detectron2.data import (
    DatasetMapper,
    build_detection_test_loader,
    build_detection_train_loader,
    get_detection_dataset_dicts,
    transforms,
)
from detectron2.evaluation import COCOEvaluator
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone.fpn import FPN, LastLevelP6P7
from detectron2.modeling.meta_arch.fcos import FCOS, FCOSHead
from detectron2.solver import WarmupParamScheduler
from detectron2.solver.build import get_default_optimizer_params
from fvcore.common.param_scheduler import MultiStepParamScheduler
from omegaconf import DictConfig

from resnext_det.engines.d2.backbone import ResNeXt

MAX_ITER = 90000  # 1x: of 16 images


def fcos_1x(variant: str, weights: str) -> tuple[DictConfig, ...]:
    """Returns the five parts of the 1x config, made anew at each call.

    Args:
        variant: of the backbone, a name of `list_variants()`.
        weights: `train.init_checkpoint`.

    Returns:
        model, optimizer, lr_multiplier, dataloader, train, which a `.py` config calls so.
    """
    train = {
        "output_dir": "./output",
        "init_checkpoint": weights,
        "max_iter": MAX_ITER,
        "amp": {"enabled": False},
        "ddp": {
            "broadcast_buffers": False,
            "find_unused_parameters": False,
            "fp16_compression": False,
        },
        "checkpointer": {"period": 5000, "max_to_keep": 100},
        "eval_period": 5000,
        "log_period": 20,
        "device": "cuda",
    }
    optimizer = LazyCall(torch.optim.SGD)(
        params=LazyCall(get_default_optimizer_params)(weight_decay_norm=0.0),
        lr=0.01,
        momentum=0.9,
        weight_decay=1.0e-4,
    )
    parts = (_model(variant), optimizer, _lr_multiplier(), _dataloader(), train)
    return tuple(DictConfig(part, flags={"allow_objects": True}) for part in parts)


def _model(variant: str) -> Any:
    return LazyCall(FCOS)(
        backbone=LazyCall(FPN)(
            bottom_up=LazyCall(ResNeXt)(
                variant=variant,
                norm="FrozenBN",
                freeze_at=2,
                out_features=["res3", "res4", "res5"],
            ),
            in_features=["res3", "res4", "res5"],
            out_channels=256,
            # p6 and p7 from p5, not from res5 (arXiv 2006.09214, section 2.2)
            top_block=LazyCall(LastLevelP6P7)(in_channels=256, out_channels=256, in_feature="p5"),
        ),
        head=LazyCall(FCOSHead)(
            input_shape=[ShapeSpec(channels=256)] * 5,
            num_classes="${..num_classes}",
            conv_dims=[256, 256, 256, 256],
            prior_prob=0.01,
            norm="GN",
        ),
        head_in_features=["p3", "p4", "p5", "p6", "p7"],
        num_classes=80,
        focal_loss_alpha=0.25,
        focal_loss_gamma=2.0,
        test_score_thresh=0.2,  # of the square root of class score times centre-ness
        test_nms_thresh=0.6,
        pixel_mean=[123.675, 116.28, 103.53],  # RGB; torchvision's .485 .456 .406 times 255
        pixel_std=[58.395, 57.12, 57.375],  # .229 .224 .225 times 255
    )


def _lr_multiplier() -> Any:
    return LazyCall(WarmupParamScheduler)(
        scheduler=LazyCall(MultiStepParamScheduler)(
            values=[1.0, 0.1, 0.01], milestones=[60000, 80000, MAX_ITER]
        ),
        warmup_length=1000 / MAX_ITER,
        warmup_method="linear",
        warmup_factor=0.001,
    )


def _dataloader() -> dict[str, Any]:
    resize = LazyCall(transforms.ResizeShortestEdge)
    images = LazyCall(get_detection_dataset_dicts)
    train_sizes = [640, 672, 704, 736, 768, 800]
    return {
        "train": LazyCall(build_detection_train_loader)(
            dataset=images(names="coco_2017_train"),
            mapper=LazyCall(DatasetMapper)(
                is_train=True,
                augmentations=[
                    resize(short_edge_length=train_sizes, sample_style="choice", max_size=1333),
                    LazyCall(transforms.RandomFlip)(horizontal=True),
                ],
                image_format="RGB",
                use_instance_mask=False,
            ),
            total_batch_size=16,
            num_workers=4,
        ),
        "test": LazyCall(build_detection_test_loader)(
            dataset=images(names="coco_2017_val", filter_empty=False),
            mapper=LazyCall(DatasetMapper)(
                is_train=False,
                augmentations=[resize(short_edge_length=800, max_size=1333)],
                image_format="${...train.mapper.image_format}",
            ),
            num_workers=4,
        ),
        "evaluator": LazyCall(COCOEvaluator)(dataset_name="${..test.dataset.names}"),
    }
