"""From folders of labelled photographs (VOC, YOLO, labelme, COCO) to COCO JSON. Engine-neutral.

Each format has a reader, which gives `labels.Found`; `convert` makes COCO of it. Nothing here needs
torch, but to read COCO. hotcoco, too, reads VOC and YOLO, but one folder at a time, the first
without a look at the photographs, the second without their endings, outlines and EXIF rotation: the
tests compare with it.
"""
