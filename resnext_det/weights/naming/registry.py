"""All tables of names, and which of them a file has. Engine-neutral."""

from resnext_det.errors import UserError
from resnext_det.weights.content import FileContent
from resnext_det.weights.naming.base import Naming, Renamed, UnknownNames
from resnext_det.weights.naming.caffe2 import CAFFE2
from resnext_det.weights.naming.detectron2 import DETECTRON2
from resnext_det.weights.naming.mmpretrain import MMPRETRAIN
from resnext_det.weights.naming.pycls import PYCLS
from resnext_det.weights.naming.torch7 import TORCH7
from resnext_det.weights.naming.torchvision import TORCHVISION

# In the order in which they are asked: Torch7's, told by the form of the file, before those told by
# names; Detectron2's after those that have a `stem.`, too.
NAMINGS: tuple[Naming, ...] = (TORCH7, TORCHVISION, MMPRETRAIN, PYCLS, DETECTRON2, CAFFE2)


def find_naming(content: FileContent) -> Naming | None:
    """Returns the first table that recognises a file's names."""
    return next((naming for naming in NAMINGS if naming.recognises(content)), None)


def give_our_names(content: FileContent, source: str) -> Renamed:
    """Renames a file's tensors, whatever names it has.

    Args:
        content: as a reader returns it.
        source: its path or address, for messages.

    Raises:
        UserError: nobody knows its names, or they are of more than a plain ResNet or ResNeXt.
    """
    naming = find_naming(content)
    if naming is None and not content.tensors:
        entries = ", ".join(str(key)[:40] for key in list(content.extras)[:5]) or "nothing"
        raise UserError(
            f"{source}: holds no tensors where a state dict is looked for, but {entries}; "
            "save the state_dict() alone"
        )
    if naming is None:
        known = ", ".join(naming.name for naming in NAMINGS)
        raise UserError(
            f"{source}: its names ({', '.join(list(content.tensors)[:3]) or 'none'} …) are of no "
            f"ResNet or ResNeXt that is known here ({known})"
        )
    try:
        return naming.to_ours(content)
    except UnknownNames as error:
        raise UserError(f"{source}: no plain ResNet or ResNeXt, it also has {error}") from None
