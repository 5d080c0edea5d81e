"""The whole detector against Detectron2's: in one process, and against golden files."""

import pytest

from tests.engines.portable import references
from tests.engines.portable.whole import assert_gradients_close, gradients, largest_gaps
from tests.golden.formula import NETS, TINY_NETS
from tests.golden.tolerances import FINAL_PIXELS, LOSS, SCORES, UNLIKE


@pytest.mark.parametrize("net", TINY_NETS)
def test_within_detectron2s_own_spread(net):
    reference = references.golden(net)
    gaps, spread = largest_gaps(reference), reference.header["spread"]
    for name in ("boxes", "scores", "losses", "unmatched"):
        assert gaps[name] <= spread[name], (name, gaps, spread)


@pytest.mark.d2
@pytest.mark.parametrize("net", NETS)
def test_live(net):
    gaps = largest_gaps(references.live(net))
    assert gaps["unmatched"] == UNLIKE
    assert gaps["boxes"] <= FINAL_PIXELS, gaps
    assert gaps["scores"] <= SCORES, gaps
    assert gaps["losses"] <= LOSS, gaps


@pytest.mark.d2
@pytest.mark.parametrize("net", TINY_NETS)
def test_gradients_live(net):
    assert_gradients_close(gradients(net))
