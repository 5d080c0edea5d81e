"""The config of a run: a YAML or a Python file, with its overrides. Engine-neutral."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resnext_det.config import LoadedConfig, load_config, override_pairs, parse_text
from resnext_det.engines.base import Engine, EngineName, resolve_engine, resolve_lazy
from resnext_det.errors import UserError

# Keys that name data sets -> the option that does, and its key in `ConfigSource.names`.
_DATA_KEYS = {
    "DATASETS.TRAIN": ("--train-data", "DATASETS.TRAIN"),
    "DATASETS.TEST": ("--test-data", "DATASETS.TEST"),
    "dataloader.train.dataset.names": ("--train-data", "DATASETS.TRAIN"),
    "dataloader.test.dataset.names": ("--test-data", "DATASETS.TEST"),
}
WEIGHTS = ("MODEL.WEIGHTS", "train.init_checkpoint")


@dataclass(frozen=True)
class ConfigSource:
    """A config file and what the command line adds to it.

    Attributes:
        file: a path or `resnext_det://` name; `.py` is Detectron2's LazyConfig.
        words: KEY VALUE … for YAML, key=value … for Python.
        names: DATASETS.TRAIN and DATASETS.TEST -> the data sets named on the command line.
    """

    file: str
    words: tuple[str, ...] = ()
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def is_python(self) -> bool:
        """Whether the file is in Detectron2's Python syntax."""
        return Path(self.file).suffix == ".py"

    def load(self, engine: EngineName) -> LoadedConfig:
        """Reads, merges and checks the config.

        Raises:
            UserError: see `load_config` and `resolve_lazy`.
        """
        if self.is_python:
            return resolve_lazy(self.file, self.words, self.names, engine)[1]
        named = [word for key, names in self.names.items() for word in (key, str(list(names)))]
        return load_config(self.file, [*self.words, *named])

    def engine(self, name: EngineName) -> Engine:
        """Returns the engine that runs it, in the process that asks.

        Raises:
            UserError: the engine is not there, or does not read this file.
        """
        if self.is_python:
            return resolve_lazy(self.file, self.words, self.names, name)[0]
        return resolve_engine(name)

    def check_words(self, *, resume: bool) -> None:
        """Checks the words, before any file is read.

        Raises:
            UserError: an option among them, a key without a value, weights beside --resume, or
                other data sets than the options name.
        """
        places = self.words if self.is_python else self.words[::2]
        stray = next((word for word in places if word.startswith("--")), None)
        if stray is not None:
            raise UserError(f"{stray}: no such option, or it stands after KEY VALUE (see --help)")
        for key, value in self._pairs():
            if resume and key in WEIGHTS:
                raise UserError(
                    f"--resume and {key} {value!r} contradict each other: --resume takes the "
                    "newest checkpoint in OUTPUT_DIR; drop one of the two"
                )
            self._check_data(key, value)

    def _check_data(self, key: str, value: str) -> None:
        option, names_key = _DATA_KEYS.get(key.lstrip("+"), ("", ""))
        names = list(self.names.get(names_key, ()))
        said = parse_text(value)
        if names and names != (list(said) if isinstance(said, list | tuple) else [said]):
            raise UserError(
                f"{option} {', '.join(names)} and {key} {value!r} contradict each other: the data "
                "sets of the options are the run's; drop one of the two"
            )

    def _pairs(self) -> list[tuple[str, str]]:
        if not self.is_python:
            return list(override_pairs(self.words))
        split = [word.partition("=") for word in self.words]
        return [(key, value) for key, _, value in split]
