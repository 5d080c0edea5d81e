"""The sentence of the load report."""

import pytest
import torch

from resnext_det.weights.report import make_report


@pytest.mark.parametrize(("others", "said"), [(0, "100.0%"), (1, "99.9%"), (9999, "50.0%")])
def test_a_share_is_rounded_down_so_that_all_means_all(others, said):
    file = {"a": torch.zeros(9999)}
    model = {**file, **({"b": torch.zeros(others)} if others else {})}
    report = make_report(model, file, {"a": "a"}, source="x.pth")
    assert f"tensors and {said} of its parameters" in str(report)
