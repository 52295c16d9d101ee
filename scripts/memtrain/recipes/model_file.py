"""What ``model.safetensors`` says of itself, written and read without torch.

The file is an 8-byte length, a header of that length (JSON: name, dtype, shape and place of every
tensor, and a mapping ``__metadata__`` of texts) and the bytes of the tensors; see
https://github.com/huggingface/safetensors#format. The metadata has one key, since the library
writes several keys in random order, and the file must always have the same bytes. Its value is a
statement as JSON: see ``data.made_from``, and ``tensors``, the digest of all weights.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from memtrain.core.errors import UserError
from memtrain.data.made_from import Statement
from memtrain.recipes.acceptances import Acceptance
from memtrain.system import canonical_json
from memtrain.system.digests import digest_of_file
from memtrain.system.file_content import open_file

#: The only key of the metadata.
_KEY = "memtrain"

_METADATA = "__metadata__"

#: The library refuses longer headers, too.
_LONGEST_HEADER = 100_000_000

_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Base:
    """A model that a training started from.

    Attributes:
        split: name of its split.
        model: digest of its file.
        recipe: digest of the training part of the recipe that it was trained by.
        code: digest of the code that trained it.
    """

    split: str
    model: str
    recipe: str
    code: str


@dataclass(frozen=True)
class ModelOrigin(Statement):
    """The statement of a model.

    Attributes:
        bases: the models that it comes from: the one that its training started from, the one that
            the training of that one started from, and so on.
        tensors: digest of the weights: of their names, dtypes, shapes and bytes.
        steps: number of optimizer steps that were taken.
        kept_step: number of the step after which the weights were these.
    """

    tensors: str | None = None
    steps: int | None = None
    kept_step: int | None = None
    bases: Sequence[Base] = ()


def with_origin(content: bytes, origin: ModelOrigin) -> bytes:
    """Return the content of a safetensors file with a statement in its metadata.

    Args:
        content: the content of the file, without metadata.
        origin: what the model was made from. The digest of the weights is added to it.
    """
    length, tensors = _parse_header(content[:8], content[8:])
    data = memoryview(content)[8 + length :]
    statement: dict[str, Any] = {
        "made_from": dict(origin.made_from),
        "files": dict(origin.files),
        "packages": dict(origin.packages),
        "device": origin.device,
        "tensors": _digest(tensors, [data]),
        "steps": origin.steps,
        "kept_step": origin.kept_step,
    }
    if origin.bases:
        statement["bases"] = [asdict(base) for base in origin.bases]
    text = json.dumps(
        {_METADATA: {_KEY: canonical_json.dumps(statement)}, **tensors}, separators=(",", ":")
    ).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, data])


def read_origin(path: str | os.PathLike) -> ModelOrigin:
    """Return the statement of a model; an empty one if the file is missing or damaged."""
    try:
        with open_file(path) as file:
            header = _read_header(file)
        statement = canonical_json.parse(header[_METADATA][_KEY])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ModelOrigin()
    own = statement if isinstance(statement, dict) else {}
    parts = Statement.of_content(statement)
    return ModelOrigin(
        parts.made_from,
        parts.files,
        parts.packages,
        parts.device,
        tensors=own.get("tensors"),
        steps=own.get("steps"),
        kept_step=own.get("kept_step"),
        bases=_bases(own.get("bases")),
    )


def bases_of_training(path: str | os.PathLike, split: str) -> list[Base]:
    """Return the models that a training comes from that starts from a model.

    Args:
        path: the model that it starts from.
        split: the name of the split of that model.

    Raises:
        UserError: if the model is missing, or does not say what it was made from.
    """
    if not Path(path).exists():
        raise UserError(
            f"{path}: there is no such file, and the training starts from it. Run snakemake, which "
            f"trains {split} first."
        )
    origin = read_origin(path)
    made_from = origin.made_from
    if "recipe" not in made_from or "code" not in made_from:
        raise UserError(
            f"{path}: it does not say what it was made from. Another version of memtrain wrote it, "
            f"or it is damaged. Run snakemake, which trains {split} again."
        )
    nearest = Base(split, digest_of_file(path), made_from["recipe"], made_from["code"])
    return [nearest, *origin.bases]


def check_weights(path: str | os.PathLike) -> None:
    """Check that the weights in a file are those that were written.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        with open_file(path) as file:
            header = _read_header(file)
            header.pop(_METADATA, None)
            found = _digest(header, iter(lambda: file.read(_BYTES_AT_ONCE), b""))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file. Run train to make it.") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path}: this is not a safetensors file ({error}). Remove it and run train again."
        ) from None
    written = read_origin(path).tensors
    if written is None:
        raise UserError(
            f"{path}: it does not hold the digest of its weights, so another program wrote it, "
            "another version of memtrain, or it is damaged. Remove it and run train again."
        )
    if found != written:
        raise UserError(
            f"{path}: the weights have changed since they were written: they do not have the "
            "digest that the file holds. Remove it and run train again."
        )


def check_origin(
    path: str | os.PathLike,
    *,
    split: str,
    recipe: str,
    code: str,
    history: str | os.PathLike,
    accepted: Sequence[Acceptance] = (),
) -> None:
    """Check that a model was made by a recipe and by code, and that its history is its own.

    Args:
        path: the model.
        split: the name of its split.
        recipe: digest of the training part of the recipe.
        code: digest of the code that would train it now.
        history: the history of its training.
        accepted: models that stand although other code made them.

    Raises:
        UserError: with what differs, and what to do.
    """
    if not Path(path).exists():
        raise UserError(f"{path}: there is no such file. Run train to make it.")
    origin = read_origin(path)
    found = origin.made_from
    if not found:
        raise UserError(
            f"{path}: it does not say what it was made from. Another version of memtrain wrote it, "
            "or it is damaged. Run snakemake, which trains again."
        )
    if found.get("recipe") != recipe:
        raise UserError(
            f"{path}: this model was trained by the recipe {found.get('recipe')}, but the split's "
            f"is {recipe}. Run snakemake, which trains again."
        )
    made_by = found.get("code")
    stands = any(one.covers(f"train {split}", "code", made_by, code) for one in accepted)
    if made_by != code and not stands:
        raise UserError(
            f"{path}: this model was trained by other code ({made_by}) than lies here now "
            f"({code}). Run snakemake, which trains again; or take back the change of the code; or "
            "let the model stand by `python scripts/lineage.py accept`."
        )
    if digest_of_file(history) not in origin.files.values():
        raise UserError(
            f"{history}: it has changed since {path} was written, or belongs to another model. "
            "Run snakemake, which trains again."
        )


def _bases(content: Any) -> list[Base]:
    """Return the bases in a statement; none where it names none, or is damaged."""
    try:
        return [Base(**one) for one in content or ()]
    except TypeError:
        return []


def _read_header(file: BinaryIO) -> dict[str, Any]:
    start = file.read(8)
    if len(start) < 8:
        raise ValueError("it is too short")
    (length,) = struct.unpack("<Q", start)
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header would have {length:,} bytes")
    return _parse_header(start, file.read(length))[1]


def _parse_header(start: bytes, rest: bytes) -> tuple[int, dict[str, Any]]:
    (length,) = struct.unpack("<Q", start)
    header = canonical_json.parse(rest[:length])
    if not isinstance(header, dict):
        raise ValueError("its header is no mapping")
    return length, header


def _digest(tensors: Mapping[str, Any], data: Any) -> str:
    digest = hashlib.sha256(canonical_json.dumps(tensors).encode())
    for part in data:
        digest.update(part)
    return f"sha256:{digest.hexdigest()}"
