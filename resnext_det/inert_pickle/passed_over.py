"""Classes whose objects checkpoints carry, passed over and not imported. Engine-neutral.

Nothing of them is imported: an object of theirs becomes a `PassedOver`, which takes
whatever the pickle gives it and keeps none of it. Each is here because a library writes it:

- argparse.Namespace: torchvision's references and timm save `args`;
- ConfigDict, Config, HistoryBuffer: mmengine's and mmcv's runners save `meta` and `message_hub`
  (a HistoryBuffer's state names its methods, by `getattr` in the protocols below 4);
- CfgNode: yacs', fvcore's and Detectron2's, in checkpoints that keep the config as an object;
- omegaconf's containers: runs that Hydra or a lazy config starts;
- paths, dates and times: in any of the above.
"""

from dataclasses import dataclass

_OMEGACONF = (
    "base.ContainerMetadata",
    "base.Metadata",
    "dictconfig.DictConfig",
    "listconfig.ListConfig",
    "nodes.AnyNode",
    "nodes.BooleanNode",
    "nodes.FloatNode",
    "nodes.IntegerNode",
    "nodes.StringNode",
)
_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")

PASSED_OVER = frozenset(
    (
        "argparse.Namespace",
        "mmengine.config.config.Config",
        "mmengine.config.config.ConfigDict",
        "mmengine.logging.history_buffer.HistoryBuffer",
        "mmcv.utils.config.Config",
        "mmcv.utils.config.ConfigDict",
        "addict.addict.Dict",
        "yacs.config.CfgNode",
        "fvcore.common.config.CfgNode",
        "detectron2.config.config.CfgNode",
        "typing.Any",  # in omegaconf's metadata
        *(f"omegaconf.{name}" for name in _OMEGACONF),
        *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in _PATHS),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class PassedOver:
    """Stands for a class of the list, for an object of it, or for a method.

    Attributes:
        text: name of the class, as files have it.
        is_class: whether it stands for the class, so that objects can be made of it.
    """

    text: str
    is_class: bool
