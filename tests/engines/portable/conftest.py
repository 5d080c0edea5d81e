"""References to compare with: golden files always, Detectron2 itself where it is installed."""

from collections.abc import Iterator

import pytest
import torch

from tests.engines.portable import references
from tests.engines.portable.references import Reference
from tests.golden.formula import NETS, TINY_NETS

GOLDEN_PARAMS = [pytest.param(("golden", net), id=f"golden-{net}") for net in TINY_NETS]
LIVE_PARAMS = [pytest.param(("live", net), id=f"live-{net}", marks=pytest.mark.d2) for net in NETS]


@pytest.fixture(params=GOLDEN_PARAMS + LIVE_PARAMS, scope="session")
def reference(request: pytest.FixtureRequest) -> Reference:
    kind, net = request.param
    return references.golden(net) if kind == "golden" else references.live(net)


@pytest.fixture
def model(reference: Reference) -> Iterator[torch.nn.Module]:
    model = references.portable(reference.net)
    yield model.eval()
    model.eval()
