# FCOS with FPN on ResNet-101, COCO, 1x schedule; needs Detectron2.
#
# Command:  python train_net.py --num-gpus 8 \
#             --config-file configs/COCO-Detection/fcos_R_101_FPN_1x.py
# Cost:     not measured here
# Expected: no public figure; not run here
# Source:   Detectron2's recipe for R-50; mmdetection has 39.1 for R-101 GN 1x without its tricks

from ..common.fcos import dataloader, lr_multiplier, model, optimizer, train

model.backbone.bottom_up.variant = "resnet101"
train.init_checkpoint = "torchvision://resnet101/IMAGENET1K_V1"
