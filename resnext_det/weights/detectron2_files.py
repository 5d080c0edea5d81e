"""The .pkl of Detectron2, for whoever asks for one: plain NumPy arrays. Engine-neutral."""

import io
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# Any but "Caffe2", which makes Detectron2 rename; a .pkl without one it takes for Detectron's.
AUTHOR = "resnext_det"
# The newest in which a class is named by one opcode with its text, which `_for_old_numpy` needs;
# it holds bytes as they are. Python 3.0 and later read it.
PKL_PROTOCOL = 3
_NUMPY_2 = b"cnumpy._core.multiarray\n_reconstruct\n"
_NUMPY_1 = b"cnumpy.core.multiarray\n_reconstruct\n"


def detectron2_pkl(state: Mapping[str, Tensor]) -> bytes:
    """Returns the bytes of a .pkl as Detectron2's zoo has them: a pickle of arrays and strings.

    It says `matching_heuristics`: Detectron2's checkpointer then fills a model's tensor from the
    longest name that ends its own, so a backbone (`res2.0.conv1.weight`) fills C4, FPN, DC5 and
    RetinaNet models alike (detectron2/checkpoint/c2_model_loading.py).

    Args:
        state: Detectron2's names, from `naming.detectron2.from_ours`. bfloat16, which NumPy has
            not, becomes float32.
    """
    arrays = {key: _array(value) for key, value in state.items()}
    content = {"model": arrays, "__author__": AUTHOR, "matching_heuristics": True}
    buffer = io.BytesIO()
    pickle.dump(content, buffer, protocol=PKL_PROTOCOL)
    return _for_old_numpy(buffer.getvalue())


def _array(value: Tensor) -> Any:
    value = value.detach().cpu().contiguous()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _for_old_numpy(data: bytes) -> bytes:
    """Names the maker of arrays as NumPy 1 does; NumPy 2 keeps that name for such files.

    The pickler names it once, before the first array's bytes, and refers to it afterwards.
    """
    return data.replace(_NUMPY_2, _NUMPY_1, 1)
