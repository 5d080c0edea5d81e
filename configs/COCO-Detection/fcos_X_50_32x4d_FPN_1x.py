# FCOS with FPN on ResNeXt-50 32x4d, COCO, 1x schedule; needs Detectron2.
#
# Command:  python train_net.py --num-gpus 8 \
#             --config-file configs/COCO-Detection/fcos_X_50_32x4d_FPN_1x.py
# Cost:     not measured here
# Expected: no public figure; not run here
# Source:   Detectron2's recipe for R-50

from ..common.fcos import dataloader, lr_multiplier, model, optimizer, train

model.backbone.bottom_up.variant = "resnext50_32x4d"
train.init_checkpoint = "torchvision://resnext50_32x4d/IMAGENET1K_V1"
