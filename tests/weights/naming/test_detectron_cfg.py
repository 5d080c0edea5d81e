"""The config in a Detectron file: what is read of it, and what it cannot make happen."""

from pathlib import Path

import pytest

from resnext_det.weights.naming.detectron_cfg import DetectronCfg, read_cfg

# As Detectron's own AttrDict and PyYAML's full dumper write it.
DUMPED = Path(__file__).with_name("detectron_cfg.yaml").read_text()


def test_a_dumped_config_is_read():
    assert read_cfg(DUMPED) == DetectronCfg(
        pixel_means=(102.9801, 115.9465, 122.7717),
        stride_1x1=False,
        num_groups=1,
        rpn_sizes=5,
        rpn_ratios=3,
    )


def test_a_plain_config_is_read():
    text = """
MODEL: {TYPE: generalized_rcnn}
PIXEL_MEANS: [[[1.5, 2.0, 3.0]]]
RESNETS: {STRIDE_1X1: True, NUM_GROUPS: 64}
MRCNN: {CLS_SPECIFIC_MASK: False}
RETINANET: {SOFTMAX: True}
"""
    assert read_cfg(text) == DetectronCfg(
        (1.5, 2.0, 3.0), True, 64, class_agnostic_masks=True, softmax_retinanet=True
    )


def test_what_is_not_said_is_not_known():
    assert read_cfg("MODEL: {}") == DetectronCfg()


ODD = {
    "empty": "",
    "a list": "[1, 2]",
    "no MODEL": "RESNETS: {STRIDE_1X1: true}",
    "no YAML": "{MODEL: [",
    "endless nesting": "MODEL: " + "[" * 5000,
    "huge": "MODEL: {}\n" + "#" * 1_000_001,
    "control character": "MODEL: \x00",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_no_config_is_none(text):
    assert read_cfg(text) is None


def test_no_tag_is_obeyed(tmp_path):
    made = tmp_path / "made"
    text = f"MODEL: !!python/object/apply:os.system ['touch {made}']"
    assert read_cfg(text) == DetectronCfg()
    assert not made.exists()


def test_aliases_are_not_multiplied_out():
    # Each line is nine times the one before: 9^60 strings, were they made.
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)]
    assert read_cfg("\n".join([*lines, "MODEL: *a59", "PIXEL_MEANS: *a59"])) == DetectronCfg()


def test_a_config_within_itself_ends():
    assert (
        read_cfg("&a {MODEL: *a, dictitems: {MODEL: {}}, PIXEL_MEANS: &b [*b]}") == DetectronCfg()
    )


@pytest.mark.parametrize(
    "means", ["[a, b, c]", "!!binary AAA=", "{state: [1, 2, 3, 4, AAAA]}", "{state: [1]}"]
)
def test_means_that_are_no_numbers_are_not_known(means):
    assert read_cfg(f"MODEL: {{}}\nPIXEL_MEANS: {means}") == DetectronCfg()
