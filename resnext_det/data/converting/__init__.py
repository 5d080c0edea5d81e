"""From folders of labelled photographs (VOC, YOLO, labelme, COCO) to COCO JSON. Engine-neutral.

Each format has a reader, which gives `labels.Found`; `convert` makes COCO of it. Nothing here needs
torch, but to read COCO.
"""
