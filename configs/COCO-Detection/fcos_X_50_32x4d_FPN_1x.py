# FCOS with FPN on ResNeXt-50 32x4d, COCO, 1x schedule; needs Detectron2.
#
# Command:  python train_net.py --num-gpus 8 \
#             --config-file configs/COCO-Detection/fcos_X_50_32x4d_FPN_1x.py
# Cost:     not measured here
# Expected: no public figure; not run here
# Source:   Detectron2's recipe for R-50

from resnext_det.engines.d2.fcos import fcos_1x

model, optimizer, lr_multiplier, dataloader, train = fcos_1x(
    "resnext50_32x4d", "torchvision://resnext50_32x4d/IMAGENET1K_V1"
)
