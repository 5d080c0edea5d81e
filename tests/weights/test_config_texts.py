"""Configs inside weights files that keep PyYAML busy, or make it stumble, say nothing."""

import pickle

import numpy as np
import pytest
import torch

from resnext_det.weights.config_texts import compose_config, read_config, three_numbers
from resnext_det.weights.convention import convention_from_config
from resnext_det.weights.naming.detectron_cfg import read_cfg
from resnext_det.weights.sources import weights_from_state, weights_of_file

MERGED = "a: &m0 {k: 1}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}\n" for i in range(1, 10)
)
ODD = {
    "merged 10**9 times": MERGED,
    "deep": "MODEL: " + "[" * 50_000,
    "deep mappings": "{a: " * 5_000,
    "a character that is none": '"\\UFFFFFFFF"',
    "an empty integer": 'MODEL: !!int ""',
    "an empty float": 'MODEL: !!float ""',
    "no truth": "MODEL: !!bool x",
    "no time": "MODEL: !!timestamp x",
    "a date that is none": "MODEL: 2001-99-99",
    "5,000 digits": f"MODEL: {'9' * 5_000}",
    "longer than any": "MODEL: [" + "a," * 400_000 + "]",
    "a list as a key": "? [a]\n: 1",
    "a call": 'MODEL: !!python/object/apply:os.system ["touch canary"]',
}


@pytest.mark.parametrize("what", ODD)
def test_odd_configs_say_nothing(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = ODD[what]
    assert read_config(text) is None
    compose_config(text)
    assert convention_from_config(text) is None
    read_cfg(text)
    pycls = {"model_state": {"s1.b1.f.a.weight": torch.ones(1, 1, 1, 1)}, "cfg": text}
    assert weights_from_state(pycls, "given").side_car.norm_eps is None
    assert not list(tmp_path.iterdir())


def test_what_is_referred_to_twice_is_one_object():
    tree = read_config("a: &x [1, 2]\nb: *x\n")
    assert tree == {"a": [1, 2], "b": [1, 2]}
    assert tree["a"] is tree["b"]
    assert read_config(None) is None


CONFIG = (
    "MODEL: {{PIXEL_MEAN: {mean}, PIXEL_STD: {std}, RESNETS: {{STRIDE_IN_1X1: true}}}}\n"
    "INPUT: {{FORMAT: {form}}}\n"
)


ODD_PARTS = {
    "nan": {"mean": "[.nan, 0, 0]"},
    "inf": {"mean": "[.inf, 0, 0]"},
    "two": {"mean": "[1, 2]"},
    "texts": {"mean": "[a, b, c]"},
    "400 digits": {"mean": f"[{'9' * 400}, 1, 1]"},
    "text": {"mean": "abc"},
    "std 0": {"std": "[0, 1, 1]"},
    "std -1": {"std": "[-1, 1, 1]"},
    "list": {"form": "[1, 2]"},
    "escape": {"form": '"R\\e[2J"'},
    "map": {"form": "{}"},
}


@pytest.mark.parametrize("what", ODD_PARTS)
def test_a_convention_is_three_finite_numbers_each(what):
    right = {"mean": "[1, 2.5, 3]", "std": "[1, 1, 1]", "form": "BGR"}
    assert convention_from_config(CONFIG.format(**right)).mean == (1.0, 2.5, 3.0)
    assert convention_from_config(CONFIG.format(**right | ODD_PARTS[what])) is None


def test_three_numbers():
    assert three_numbers([1, 2.0, -3]) == (1.0, 2.0, -3.0)
    for odd in ([True, 1, 1], (1, 1), "123", [1e7, 0, 0], [float("nan"), 0, 0]):
        with pytest.raises(ValueError, match="no three numbers"):
            three_numbers(odd)


@pytest.mark.parametrize("groups", ["9" * 5_000, "²", "x"])
def test_groups_that_are_no_number(groups, tmp_path):
    cfg = f'MODEL: {{}}\nRESNETS: {{NUM_GROUPS: "{groups}"}}\n'
    assert read_cfg(cfg).num_groups is None
    blobs = {
        "res2_0_branch2a_w": np.ones((1, 1, 1, 1), np.float32),
        "conv1_w": np.ones((64, 3, 7, 7), np.float32),
    }
    (tmp_path / "d.pkl").write_bytes(pickle.dumps({"blobs": blobs, "cfg": cfg}, 2))
    assert len(weights_of_file(tmp_path / "d.pkl", "d.pkl").state) == 2
