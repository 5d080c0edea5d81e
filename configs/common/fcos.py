"""FCOS with FPN on a ResNeXt or ResNet: model, optimizer, 1x schedule, data. Not run by itself.

Source: Detectron2's configs/common/models/fcos.py and COCO-Detection/fcos_R_50_FPN_1x.py, with this
project's backbone and its pixels: RGB, ImageNet's mean and deviation, stride in the 3x3.
"""

import torch
from detectron2.config import LazyCall as L
from detectron2.data import (
    DatasetMapper,
    build_detection_test_loader,
    build_detection_train_loader,
    get_detection_dataset_dicts,
)
from detectron2.data import transforms as T
from detectron2.evaluation import COCOEvaluator
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone.fpn import FPN, LastLevelP6P7
from detectron2.modeling.meta_arch.fcos import FCOS, FCOSHead
from detectron2.solver import WarmupParamScheduler
from detectron2.solver.build import get_default_optimizer_params
from fvcore.common.param_scheduler import MultiStepParamScheduler

from resnext_det.engines.d2 import ResNeXt

model = L(FCOS)(
    backbone=L(FPN)(
        bottom_up=L(ResNeXt)(
            variant="resnext50_32x4d",
            norm="FrozenBN",
            freeze_at=2,
            out_features=["res3", "res4", "res5"],
        ),
        in_features=["res3", "res4", "res5"],
        out_channels=256,
        # p6 and p7 from p5, not from res5 (arXiv 2006.09214, section 2.2)
        top_block=L(LastLevelP6P7)(in_channels=256, out_channels=256, in_feature="p5"),
    ),
    head=L(FCOSHead)(
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

optimizer = L(torch.optim.SGD)(
    params=L(get_default_optimizer_params)(weight_decay_norm=0.0),
    lr=0.01,
    momentum=0.9,
    weight_decay=1.0e-4,
)

lr_multiplier = L(WarmupParamScheduler)(
    scheduler=L(MultiStepParamScheduler)(values=[1.0, 0.1, 0.01], milestones=[60000, 80000, 90000]),
    warmup_length=1000 / 90000,
    warmup_method="linear",
    warmup_factor=0.001,
)

dataloader = dict(
    train=L(build_detection_train_loader)(
        dataset=L(get_detection_dataset_dicts)(names="coco_2017_train"),
        mapper=L(DatasetMapper)(
            is_train=True,
            augmentations=[
                L(T.ResizeShortestEdge)(
                    short_edge_length=[640, 672, 704, 736, 768, 800],
                    sample_style="choice",
                    max_size=1333,
                ),
                L(T.RandomFlip)(horizontal=True),
            ],
            image_format="RGB",
            use_instance_mask=False,
        ),
        total_batch_size=16,
        num_workers=4,
    ),
    test=L(build_detection_test_loader)(
        dataset=L(get_detection_dataset_dicts)(names="coco_2017_val", filter_empty=False),
        mapper=L(DatasetMapper)(
            is_train=False,
            augmentations=[L(T.ResizeShortestEdge)(short_edge_length=800, max_size=1333)],
            image_format="${...train.mapper.image_format}",
        ),
        num_workers=4,
    ),
    evaluator=L(COCOEvaluator)(dataset_name="${..test.dataset.names}"),
)

train = dict(
    output_dir="./output",
    init_checkpoint="",
    max_iter=90000,
    amp=dict(enabled=False),
    ddp=dict(broadcast_buffers=False, find_unused_parameters=False, fp16_compression=False),
    checkpointer=dict(period=5000, max_to_keep=100),
    eval_period=5000,
    log_period=20,
    device="cuda",
)
