# FCOS with FPN on ResNeXt-101 32x4d, COCO, 1x schedule; needs Detectron2.
#
# Command:  python train_net.py --num-gpus 8 \
#             --config-file configs/COCO-Detection/fcos_X_101_32x4d_FPN_1x.py
# Cost:     not measured here
# Expected: no public figure; not run here
# Source:   Detectron2's recipe for R-50; AdelaiDet has 43.9 for 32x8d, 2x, several scales

from resnext_det.engines.d2.fcos import fcos_1x

model, optimizer, lr_multiplier, dataloader, train = fcos_1x(
    "resnext101_32x4d", "timm://resnext101_32x4d.gluon_in1k"
)
