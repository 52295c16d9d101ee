"""Which files a path, a list of paths or a pattern stands for, and in which order.

The files of a pattern come in natural order, where numbers in names count: part-2 before part-10.
The files of a list come in the order of the list.
"""

import os
import re
import stat
from glob import glob, has_magic

from memtrain.core.errors import raise_problems

_NUMBERS = re.compile(r"([0-9]+)")


def find_files(patterns: str | list[str]) -> list[str]:
    """Return the files that a path, a pattern such as ``data/*.bin``, or a list of them names.

    In a pattern, ``**`` stands for any number of folders. A path whose file exists is no pattern,
    whatever characters it has.

    Returns:
        The paths, as they were given or as the pattern makes them.

    Raises:
        UserError: with everything that is wrong: a path that names no file, a folder, a pipe or a
            file that may not be read, and a file that is named twice, by another name included.
    """
    given = [patterns] if isinstance(patterns, str) else patterns
    problems: list[str] = [] if given else ["No file is named. Name a file or a pattern."]
    found: list[str] = []
    for pattern in given:
        files = _files_of(pattern)
        found += files
        hidden = [] if pattern in files else _hidden_folders(pattern)
        problems += hidden
        if not files and not hidden:
            problems.append(_nothing_found(pattern))
    first_names: dict[tuple[int, int], str] = {}
    problems += filter(None, (_problem_of(path, first_names) for path in found))
    raise_problems(problems)
    return found


def natural_key(path: str) -> list[str | tuple[int, str]]:
    """Return a key that sorts paths in natural order, folder by folder: x/part-2 before x/part-10.

    Numbers of equal value, such as 2 and 02, are told apart by their digits.
    """
    pieces: list[str | tuple[int, str]] = []
    for name in path.split("/"):
        texts = _NUMBERS.split(name)
        # Texts stand at even places and numbers at odd ones, so that like is compared with like.
        pieces += [(int(t), t) if place % 2 else t for place, t in enumerate(texts)]
        pieces.append((-1, ""))
    return pieces


def _files_of(pattern: str) -> list[str]:
    if os.path.lexists(pattern) or not has_magic(pattern):
        return [pattern]
    matches = glob(pattern, recursive=True)
    return sorted((path for path in matches if not os.path.isdir(path)), key=natural_key)


def _hidden_folders(pattern: str) -> list[str]:
    """Return a problem for each folder that a pattern looks into but that may not be listed.

    ``glob`` passes over such a folder without a word, and with it over its files.
    """
    steps = pattern.split("/")
    first = next(place for place, step in enumerate(steps) if has_magic(step))
    folders: set[str] = set()
    for place in range(first, len(steps)):
        before = "/".join(steps[:place])
        folders.update(glob(before, recursive=True) if before else ["/" if place else "."])
    if steps[-1] == "**":
        folders.update(glob(pattern, recursive=True))
    return [
        f"{folder}: this folder may not be listed, so that its files are not found. Let its owner "
        "allow it (chmod +rx)."
        for folder in sorted(folders)
        if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK, effective_ids=True)
    ]


def _nothing_found(pattern: str) -> str:
    return f"{pattern}: no file matches this pattern, relative to {os.getcwd()}. Correct it."


def _problem_of(path: str, first_names: dict[tuple[int, int], str]) -> str | None:
    """Return what is wrong with a file; note its identity, so that it is found again."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            return f"{path}: this link leads to {os.readlink(path)}, which is gone. Correct it."
        return f"{path}: there is no such file, relative to {os.getcwd()}. Correct the path."
    except OSError as error:
        return f"{path}: this file cannot be read ({error.strerror})."
    if stat.S_ISDIR(status.st_mode):
        return f"{path}: this is a folder. Name its files, such as {os.path.join(path, '*')}."
    if not stat.S_ISREG(status.st_mode):
        return f"{path}: this is a pipe or a device. Name a file."
    if not os.access(path, os.R_OK, effective_ids=True):
        return f"{path}: this file may not be read. Let its owner allow it (chmod +r)."
    identity = (status.st_dev, status.st_ino)
    if identity not in first_names:
        first_names[identity] = path
        return None
    first = first_names[identity]
    named = "it is named twice" if first == path else f"it is the same file as {first}"
    return f"{path}: {named}, so that its elements would count twice. Name it once."
