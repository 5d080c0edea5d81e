# FCOS with FPN on ResNeXt-101 32x4d, COCO, 1x schedule; needs Detectron2.
#
# Command:  python train_net.py --num-gpus 8 \
#             --config-file configs/COCO-Detection/fcos_X_101_32x4d_FPN_1x.py
# Cost:     not measured here
# Expected: no public figure; not run here
# Source:   Detectron2's recipe for R-50; AdelaiDet has 43.9 for 32x8d, 2x, several scales

from ..common.fcos import dataloader, lr_multiplier, model, optimizer, train

model.backbone.bottom_up.variant = "resnext101_32x4d"
train.init_checkpoint = "timm://resnext101_32x4d.gluon_in1k"
