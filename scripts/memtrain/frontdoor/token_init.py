"""Proposes a configuration for a stream of tokens: a small GPT learns what comes next."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.frontdoor.proposal import dataset_name
from memtrain.frontdoor.setting import Setting
from memtrain.frontdoor.token_files import TokenStream
from memtrain.workflow.workflow_files import workflow_folder

#: The file of the model, which the user can change as the configuration.
MODEL_FILE = Path("gpt.py")

#: Share of the windows that is trained on; from so many windows on, less is kept for the rest.
_TRAINED, _TRAINED_OF_MANY, _MANY_WINDOWS = 0.8, 0.98, 100_000

#: Tokens of a step; windows of a micro-batch are a quarter of its windows.
_TOKENS_OF_STEP = 4096
_ACCUMULATION_STEPS = 4

#: Steps of a training that goes through the windows more than once, and the most epochs.
_STEPS, _MOST_EPOCHS = 1500, 20


@dataclass(frozen=True)
class _Amounts:
    """Windows of a micro-batch, steps of an epoch, and epochs."""

    batch_size: int
    steps_of_epoch: int
    epochs: int


def proposed_token_settings(stream: TokenStream, name: str) -> list[Setting]:
    """Return the settings that are proposed for a stream.

    Args:
        stream: the stream with its windows.
        name: the name of the dataset.
    """
    files = tuple(_files(stream))
    return [
        Setting(
            "dataset",
            (
                Setting("name", name),
                Setting("files", files, "read where they lie: no copy is made"),
            ),
        ),
        Setting("splits", (_split(stream),)),
        Setting("training", tuple(_training(stream))),
    ]


def name_of_stream(paths: list[str]) -> str:
    """Return a name for the results of a stream, made of those of its files."""
    return dataset_name(paths[0])


def copy_model() -> None:
    """Put the file of the model into the current folder.

    Raises:
        UserError: where a file of its name is there that is another one.
    """
    source = workflow_folder() / "examples" / "stdlib_gpt" / MODEL_FILE
    if MODEL_FILE.exists() and MODEL_FILE.read_bytes() != source.read_bytes():
        raise UserError(
            f"{MODEL_FILE}: a file of this name is here already, and the model goes there. Rename "
            "it, or work in another folder."
        )
    shutil.copyfile(source, MODEL_FILE)


def summary_of_tokens(stream: TokenStream) -> list[str]:
    """Return lines on what was decided."""
    what = "bytes of text" if stream.is_text else "tokens"
    return [
        f"  target    of every one of {stream.tokens:,} {what}, the one behind it",
        f"  features  the {what} before it, in windows of {stream.length}",
        f"  model     {MODEL_FILE}, a small GPT, is written beside it",
    ]


def _files(stream: TokenStream) -> Iterator[Setting]:
    yield Setting("path", stream.path)
    if stream.dtype is not None:
        why = "the bytes of the text" if stream.is_text else "of every token"
        yield Setting("dtype", stream.dtype, why)
    yield Setting(
        "windows",
        {"length": stream.length, "target": "next"},
        "of every token, the one behind it is learned",
    )


def _split(stream: TokenStream) -> Setting:
    end, trained = stream.windows, _trained_windows(stream)
    evaluated = (end + trained) // 2
    ranges = {
        "train": [0, trained],
        # A window is left out before each, whose first token would be the last one before it.
        "validate": [trained + 1, evaluated],
        "evaluate": [evaluated + 1, end],
    }
    why = (
        "windows, by number: evaluated on the end of the files, of which nothing was seen before; "
        "one is left out between two ranges, since windows that touch share a token"
    )
    return Setting("all", ranges, why)


def _trained_windows(stream: TokenStream) -> int:
    share = _TRAINED if stream.windows < _MANY_WINDOWS else _TRAINED_OF_MANY
    return int(stream.windows * share)


def _amounts(stream: TokenStream) -> _Amounts:
    windows = _trained_windows(stream)
    batch_size = min(_TOKENS_OF_STEP // stream.length, max(4, windows // 8)) // _ACCUMULATION_STEPS
    steps = math.ceil(windows / (batch_size * _ACCUMULATION_STEPS))
    return _Amounts(batch_size, steps, max(1, min(_MOST_EPOCHS, _STEPS // steps)))


def _training(stream: TokenStream) -> Iterator[Setting]:
    amounts = _amounts(stream)
    size = {"width": 64, "heads": 4, "layers": 2}
    yield Setting(
        "model",
        {"name": f"{MODEL_FILE.stem}:Gpt"} | size,
        f"a small GPT in {MODEL_FILE}, beside this file; wider and deeper for more tokens",
    )
    yield Setting("loss", "CrossEntropyLoss", "every token is the class of the one before it")
    yield Setting("transform", "none", "tokens are numbers of words, and no amounts")
    yield Setting(
        "optimizer",
        {
            "name": "AdamW",
            "lr": 0.003,
            "betas": [0.9, 0.99],
            "weight_decay": 0.1,
            "no_decay": ["bias", "norm", "embedding"],
        },
        "as GPTs are trained",
    )
    why = "the rate rises over the first steps, and falls until the last one"
    yield Setting("scheduler", {"name": "CosineAnnealingLR", "warmup": "5%"}, why)
    yield Setting("clip_norm", 1.0, "a single step does no harm")
    tokens = amounts.batch_size * _ACCUMULATION_STEPS * stream.length
    yield Setting("batch_size", amounts.batch_size, f"windows: {tokens:,} tokens a step")
    yield Setting("accumulation_steps", _ACCUMULATION_STEPS, "so that 2 or 4 processes fit")
    steps = amounts.epochs * amounts.steps_of_epoch
    yield Setting("epochs", amounts.epochs, f"{steps:,} steps; more make it better")
    if amounts.epochs == 1 and amounts.steps_of_epoch > 2 * _STEPS:
        yield Setting("validate_every", {"steps": _STEPS}, "so that you see how it gets on")
    yield Setting("keep", "best", "the weights of the best validation")
