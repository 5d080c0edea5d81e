"""What the portable engine is held to against Detectron2: the tests' and the table's limits."""

PIXELS = 1e-4  # anchors and proposals
SCORES = 1e-5
FINAL_PIXELS = 1e-3  # final boxes
LOSS = 1e-5  # relative
FEATURES = 1e-5  # of the largest magnitude
# A gradient may differ by GRADIENT times its own magnitude, plus GRADIENT_SHARE of its
# tensor's largest, plus GRADIENT_FLOOR.
GRADIENT, GRADIENT_SHARE, GRADIENT_FLOOR = 1e-4, 1e-5, 1e-9
FIRST_UPDATE = 1e-5  # relative
FOURTH_UPDATE = 1e-3  # relative: rounding grows with every update
AP = 0.01  # percent
UNLIKE = 0  # of what has to be the same

LOSSES = ("loss_cls", "loss_box_reg", "loss_rpn_cls", "loss_rpn_loc")
OF_LARGEST = "of the largest magnitude"

# Row of the parity table -> unit and tolerance. First each stage, fed Detectron2's own input.
STAGES: dict[str, tuple[str, float]] = {
    "anchors": ("px", PIXELS),
    "proposals": ("px", PIXELS),
    "proposal scores": ("logit", SCORES),
    "matched and sampled anchors and regions": ("unlike", UNLIKE),
    "RoI features": (OF_LARGEST, FEATURES),
    "class logits": (OF_LARGEST, FEATURES),
    "final boxes": ("px", FINAL_PIXELS),
    "final scores": ("probability", SCORES),
    "final classes": ("unlike", UNLIKE),
    **dict.fromkeys(LOSSES, ("relative", LOSS)),
}
WHOLE: dict[str, tuple[str, float]] = {
    "whole model: boxes": ("px", FINAL_PIXELS),
    "whole model: scores": ("probability", SCORES),
    "whole model: losses": ("relative", LOSS),
    "whole model: unmatched": ("detections", UNLIKE),
}
GRADIENTS: dict[str, tuple[str, float]] = {"whole model: gradients": ("relative", GRADIENT)}
TRAINING: dict[str, tuple[str, float]] = {
    "training: losses of the first update": ("relative", FIRST_UPDATE),
    "training: losses of the fourth update": ("relative", FOURTH_UPDATE),
    "checkpoint of portable in d2: AP, AP50, …": ("percent", AP),
    "checkpoint of d2 in portable: AP, AP50, …": ("percent", AP),
}
BENCH = "X_26 on drawn shapes"  # what TRAINING runs: tests/engines/conftest.py
