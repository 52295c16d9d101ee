"""Kinds of damage to a file."""

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: A kind of damage: damages a file, with a source of chance.
Damage = Callable[[Path, random.Random], None]

#: Values of a wrong type or size, as JSON and YAML can hold them.
STRANGE_VALUES = (
    None,
    True,
    -1,
    0,
    10**30,
    int("9" * 400),
    1e308,
    float("nan"),
    float("inf"),
    "",
    "²",
    "a\x00b",
    "9" * 5000,
    [],
    {},
    [[]],
    {"": {"": None}},
)


def _emptied(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


def _cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content) or 1)])


def _last_byte_gone(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _bit_flipped(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes() or b"\0")
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _zeros(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = chance.randrange(len(content) or 1)
    content[start : start + 512] = bytes(len(content[start : start + 512]))
    path.write_bytes(content)


def _random_bytes(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(path.stat().st_size))


def _longer(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + chance.randbytes(100))


def _doubled(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() * 2)


def _deep(path: Path, chance: random.Random) -> None:
    path.write_text(chance.choice(["[", '{"a":', "- ", "[{"]) * 100_000)


def _not_utf8(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    at = chance.randrange(len(content) or 1)
    path.write_bytes(content[:at] + b"\xff\xfe\xe9" + content[at:])


def _windows_lines(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def _huge_number(path: Path, chance: random.Random) -> None:
    """Put a huge number in the place of one of the numbers of a text."""
    text = path.read_bytes().decode("latin-1")
    numbers = list(re.finditer(r"-?\d+(\.\d+)?(e-?\d+)?", text))
    if numbers:
        one = chance.choice(numbers)
        huge = chance.choice(["9" * 320, "9" * 6000, "1e999", "-1", "1e30", "²", "2026-13-45"])
        text = text[: one.start()] + huge + text[one.end() :]
    path.write_bytes(text.encode("latin-1"))


def _wrong_type(path: Path, chance: random.Random) -> None:
    """Put a value of a wrong type at one place of a JSON file; a huge number where it is none."""
    lines = path.read_bytes().split(b"\n") if path.suffix == ".jsonl" else [path.read_bytes()]
    at = chance.randrange(max(1, len([line for line in lines if line])))
    try:
        content = json.loads(lines[at])
    except ValueError:
        return _huge_number(path, chance)
    places: list[tuple[Any, Any]] = [*_places(content), ([content], 0)]
    container, key = chance.choice(places[:-1] or places)
    if chance.random() < 0.2 and isinstance(container, dict):
        container.pop(key, None)
    else:
        container[key] = chance.choice(STRANGE_VALUES)
    lines[at] = json.dumps(content).encode()
    path.write_bytes(b"\n".join(lines))


def _folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _gone(path: Path, chance: random.Random) -> None:
    path.unlink()


def _unreadable(path: Path, chance: random.Random) -> None:
    path.chmod(0)


def _link_to_nowhere(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at/all")


def _link_to_itself(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _device(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(chance.choice(["/dev/zero", "/dev/null", "/dev/urandom", "/dev/full"]))


def _pipe(path: Path, chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _other_file(path: Path, chance: random.Random) -> None:
    """Put the content of another file of the same kind, or of any, in the place of a file."""
    around = [one for one in path.parent.parent.rglob("*") if one.is_file() and one != path]
    alike = [one for one in around if one.suffix == path.suffix]
    others = sorted(alike or around)
    if others:
        shutil.copyfile(chance.choice(others), path)


DAMAGES: dict[str, Damage] = {
    "emptied": _emptied,
    "cut": _cut,
    "last-byte-gone": _last_byte_gone,
    "bit-flipped": _bit_flipped,
    "zeros": _zeros,
    "random-bytes": _random_bytes,
    "longer": _longer,
    "doubled": _doubled,
    "deep": _deep,
    "not-utf8": _not_utf8,
    "windows-lines": _windows_lines,
    "huge-number": _huge_number,
    "wrong-type": _wrong_type,
    "folder": _folder,
    "gone": _gone,
    "unreadable": _unreadable,
    "link-to-nowhere": _link_to_nowhere,
    "link-to-itself": _link_to_itself,
    "device": _device,
    "pipe": _pipe,
    "other-file": _other_file,
}


def damage(path: Path, kind: str, chance: random.Random) -> None:
    """Damage a file. In two of three cases its time of modification stays as it was."""
    before = path.stat()
    DAMAGES[kind](path, chance)
    if chance.random() < 2 / 3 and path.is_file() and not path.is_symlink():
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _places(content: Any):
    """Yield every place in nested JSON, as its container and its key."""
    if isinstance(content, dict | list):
        for key in list(content) if isinstance(content, dict) else range(len(content)):
            yield content, key
            yield from _places(content[key])
