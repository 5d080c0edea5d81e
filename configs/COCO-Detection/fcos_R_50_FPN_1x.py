# FCOS with FPN on ResNet-50, COCO, 1x schedule; needs Detectron2.
#
# Command:  python train_net.py --num-gpus 8 \
#             --config-file configs/COCO-Detection/fcos_R_50_FPN_1x.py
# Cost:     not measured here
# Expected: AP 38.7 +- 0.5 on coco_2017_val; not run here
# Source:   mmdetection, FCOS R-50 GN 1x with its tricks, MSRA weights; AdelaiDet has the same

from resnext_det.engines.d2.fcos import fcos_1x

model, optimizer, lr_multiplier, dataloader, train = fcos_1x(
    "resnet50", "torchvision://resnet50/IMAGENET1K_V1"
)
