"""One small file of each kind that Detectron and Detectron2's zoo published. Engine-neutral.

The names are whole, the channels few; `slim` keeps the shapes' ratios.
"""

from collections.abc import Callable

from tests.weights import caffe2_files as build
from tests.weights.caffe2_files import R50, R101, R152, Net, random_values

DIM, CLASSES = 8, 5  # of the heads; four classes and the background


def _net(norm: str, *body: object, slim: int = 16, **kwargs: int) -> Net:
    net = Net(random_values(0), norm)
    build.add_body(net, *body, slim=slim, **kwargs)
    return net


def msra_r50() -> Net:
    """ImageNetPretrained/MSRA/R-50.pkl of Detectron2: the names that its users printed."""
    net = _net("BN")
    net.blobs["conv1_b"] = net.make((4,))
    net.fc("fc1000", 10, 128)
    return net


def fair_x101_32x8d() -> Net:
    """ImageNetPretrained/FAIR/X-101-32x8d.pkl of Detectron2."""
    net = _net("BN", R101, groups=32, width=8, slim=4)
    net.fc("pred", 10, 512)
    return net


def detectron_r50() -> Net:
    """ImageNetPretrained/MSRA/R-50.pkl of Detectron."""
    net = _net("affine")
    build.add_idle_biases(net)
    net.fc("fc1000", 10, 128)
    return net


def detectron_x152() -> Net:
    """X-152-32x8d-IN5k.pkl of Detectron, affine; pickled with a solver's blobs."""
    net = _net("affine", R152, groups=32, width=8, slim=4)
    net.fc("pred", 10, 512)
    return net


def detectron_r50_gn() -> Net:
    """R-50-GN.pkl of Detectron."""
    net = _net("GN")
    net.fc("pred", 10, 128)
    return net


def rpn_c4() -> Net:
    """rpn_R-50-C4_1x."""
    net = _net("affine", R50[:3])
    build.add_rpn(net, DIM, 15)
    return net


def rpn_fpn() -> Net:
    """rpn_R-50-FPN_1x."""
    net = _net("affine")
    build.add_fpn(net, R50, DIM, slim=16)
    build.add_rpn(net, DIM, 3, "_fpn2")
    return net


def fast_fpn() -> Net:
    """fast_rcnn_R-50-FPN_1x: proposals from a file, so no RPN."""
    net = _net("affine")
    build.add_fpn(net, R50, DIM, slim=16)
    build.add_mlp_head(net, DIM, 16)
    build.add_box_outputs(net, 16, CLASSES)
    return net


def faster_c4() -> Net:
    """e2e_faster_rcnn_R-50-C4_1x."""
    net = _net("affine")
    build.add_rpn(net, DIM, 15)
    build.add_box_outputs(net, 128, CLASSES)
    return net


def faster_fpn() -> Net:
    """e2e_faster_rcnn_R-101-FPN_1x."""
    net = _net("affine", R101)
    build.add_fpn(net, R101, DIM, slim=16)
    build.add_rpn(net, DIM, 3, "_fpn2")
    build.add_mlp_head(net, DIM, 16)
    build.add_box_outputs(net, 16, CLASSES)
    return net


def faster_agnostic() -> Net:
    """MODEL.CLS_AGNOSTIC_BBOX_REG."""
    net = _net("affine")
    build.add_rpn(net, DIM, 15)
    build.add_box_outputs(net, 128, CLASSES, agnostic=True)
    return net


def mask_c4() -> Net:
    """e2e_mask_rcnn_R-50-C4_1x, with mask_rcnn_fcn_head_v0upshare."""
    net = faster_c4()
    build.add_mask_outputs(net, 128, DIM, CLASSES)
    return net


def mask_fpn() -> Net:
    """e2e_mask_rcnn_R-101-FPN_1x."""
    net = faster_fpn()
    build.add_mask_head(net, DIM, CLASSES)
    return net


def mask_fpn_gn() -> Net:
    """e2e_mask_rcnn_R-50-FPN_2x_gn, with the 4conv1fc head."""
    net = _net("GN")
    build.add_fpn(net, R50, DIM, slim=16)
    build.add_rpn(net, DIM, 3, "_fpn2")
    build.add_conv_gn_head(net, DIM, 16)
    build.add_box_outputs(net, 16, CLASSES)
    build.add_mask_head(net, DIM, CLASSES)
    return net


def keypoint_fpn() -> Net:
    """e2e_keypoint_rcnn_R-101-FPN_1x: the one class is person."""
    net = _net("affine", R101)
    build.add_fpn(net, R101, DIM, slim=16)
    build.add_rpn(net, DIM, 3, "_fpn2")
    build.add_mlp_head(net, DIM, 16)
    build.add_box_outputs(net, 16, 2)
    build.add_keypoint_head(net, DIM, 12)
    return net


KINDS: dict[str, Callable[[], Net]] = {
    kind.__name__: kind
    for kind in (
        msra_r50,
        fair_x101_32x8d,
        detectron_r50,
        detectron_x152,
        detectron_r50_gn,
        rpn_c4,
        rpn_fpn,
        fast_fpn,
        faster_c4,
        faster_fpn,
        faster_agnostic,
        mask_c4,
        mask_fpn,
        mask_fpn_gn,
        keypoint_fpn,
    )
}


def retinanet() -> Net:
    """retinanet_R-50-FPN_1x; Detectron2's converter has no names for its head."""
    net = _net("affine")
    build.add_fpn(net, R50, DIM, slim=16)
    # The finest level is 3: add_fpn leaves out res2's.
    for blob in [name for name in net.blobs if name.startswith(("fpn_inner_res2", "fpn_res2"))]:
        del net.blobs[blob]
    net.conv("fpn_6", DIM, 128, 3)
    build.add_retinanet(net, DIM, CLASSES)
    return net
