"""What a training starts from: the weights of another split's model, or those in a file."""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from memtrain.config.types import FilePath, Settings
from memtrain.core.wording import did_you_mean, listed, shown

#: Names of parameters: exact ones, or with * and ? as in names of files.
Patterns = list[Annotated[str, Field(min_length=1)]]


def _read_keys(value: Any) -> Any:
    """Return names of the model by keys of the file; a list keeps the names as they are."""
    if isinstance(value, list) and all(isinstance(key, str) for key in value):
        return {key: key for key in value}
    return value


def _check_stars(keys: dict[str, str] | None) -> dict[str, str] | None:
    for key, name in (keys or {}).items():
        if key.count("*") != name.count("*") or key.count("*") > 1:
            raise ValueError(
                f"{shown(key)} goes to {shown(name)}; both have one *, which stands for the same "
                "text, or neither has"
            )
    if keys is not None and not keys:
        raise ValueError("no key is named; leave `keys` out to take all of them")
    return keys


Keys = Annotated[
    dict[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]],
    BeforeValidator(_read_keys, json_schema_input_type=dict[str, str] | list[str]),
    AfterValidator(_check_stars),
]


class InitialSettings(Settings):
    """Weights that a training starts from, in place of those that the seed draws."""

    split: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="The split whose model the training starts from. Where a sweep gives several "
        "trainings to both splits, it is the one with the same settings.",
    )
    path: FilePath | None = Field(
        default=None, description="A file of weights that it starts from, .safetensors."
    )
    keys: Keys | None = Field(
        default=None,
        description="Which weights are taken: {key of the file: name in the model}, or a list of "
        "names that are the same in both; one * on either side stands for the same text. What the "
        "model has besides keeps the weights that the seed draws. null: the file and the model "
        "have the same names.",
    )
    exclude: Patterns = Field(
        default=[],
        description="Names, with * and ?, that are left out, in the file and in the model.",
    )
    allow_overlap: bool = Field(
        default=False,
        description="Whether the model may be evaluated, or validated, on rows that the model "
        "which it starts from was trained on.",
    )

    @model_validator(mode="after")
    def _check_one(self) -> "InitialSettings":
        if (self.split is None) == (self.path is None):
            found = "neither" if self.split is None else "both"
            raise ValueError(f"either `split` or `path` is needed; found {found}")
        return self

    @property
    def source(self) -> str:
        """What the weights come from, for messages."""
        return f"the model of {self.split}" if self.split is not None else str(self.path)

    @property
    def is_strict(self) -> bool:
        """Whether all weights are taken, and no name is chosen."""
        return self.keys is None and not self.exclude

    def excludes(self, name: str) -> bool:
        """Return whether a name, of the file or of the model, is left out."""
        return any(fnmatchcase(name, pattern) for pattern in self.exclude)


def bases(split: str, base_of: Callable[[str], str | None]) -> list[str]:
    """Return the splits that a model comes from, the nearest first: its base, the base's base, ...

    Args:
        split: the split.
        base_of: returns the split that another one starts from; None where it starts from none.
    """
    found: list[str] = []
    base = base_of(split)
    while base is not None and base not in found:
        found.append(base)
        base = base_of(base)
    return found


def chain_problems(splits: Sequence[str], base_of: Callable[[str], str | None]) -> Iterator[str]:
    """Yield a problem for each split that starts from an unknown one, and for each circle.

    Args:
        splits: the names of all splits.
        base_of: returns the split that another one starts from; None where it starts from none.
    """
    known = set(splits)
    circles: set[frozenset[str]] = set()
    for split in splits:
        base = base_of(split)
        where = f"splits.{split}.training.initial.split"
        if base is not None and base not in known:
            yield (
                f"{where}: found {shown(base)}; known are {listed(splits)}."
                f"{did_you_mean(base, splits)}"
            )
        chain = bases(split, lambda name: base_of(name) if name in known else None)
        if split in chain and (circle := frozenset(chain)) not in circles:
            circles.add(circle)
            way = " starts from ".join([split, *chain])
            yield (
                f"{where}: {way}, so that none of them can be trained first. Set `initial: null` "
                "for the split that starts anew."
            )
