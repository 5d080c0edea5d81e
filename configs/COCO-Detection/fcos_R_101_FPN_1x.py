# FCOS with FPN on ResNet-101, COCO, 1x schedule; needs Detectron2.
#
# Command:  python train_net.py --num-gpus 8 \
#             --config-file configs/COCO-Detection/fcos_R_101_FPN_1x.py
# Cost:     not measured here
# Expected: no public figure; not run here
# Source:   Detectron2's recipe for R-50; mmdetection has 39.1 for R-101 GN 1x without its tricks

from resnext_det.engines.d2.fcos import fcos_1x

model, optimizer, lr_multiplier, dataloader, train = fcos_1x(
    "resnet101", "torchvision://resnet101/IMAGENET1K_V1"
)
