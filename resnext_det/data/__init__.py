"""Data sets: catalogue, COCO and image-folder readers, transforms, loaders. Engine-neutral."""
