"""ResNeXt backbones for object detection, on Detectron2 or without it."""
