"""What the options of `resnext-det weights` may say; known without torch. Engine-neutral."""

TARGET_NAMES = (
    "torchvision",
    "timm",
    "mmpretrain",
    "pycls",
    "detectron2",
    "detectron2-pkl",
    "safetensors",
)
"""Whose names `convert --to` writes, as `weights.targets` has them."""
PARTS = ("all", "backbone")
"""What `convert --part` keeps."""
ANY, COMMERCIAL, KNOWN_COMMERCIAL = "any", "commercial", "known_commercial"
"""Values of MODEL.WEIGHTS_LICENCE_POLICY."""
FETCHED = "torchvision://NAME/WEIGHTS, timm://NAME[.TAG], detectron2://PATH or an http(s) address"
"""What `fetch` takes."""
