"""Finds files that code of the user's own reads and the settings do not declare.

A model whose constructor reads a file depends on that file. What is declared is in the recipe, with
its digest; what is not would go unnoticed when it changes.

What counts is what the user's own code reads, or a class or function of a package that the settings
name; not what memtrain reads by itself. No data are the sources of modules, libraries, what belongs
to Python, to its packages or to the system (such as locales and time zones), and what the process
has written itself.
"""

import os
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Literal

from memtrain.core.errors import raise_problems
from memtrain.system import opened_files
from memtrain.system.opened_files import Use, told_of_opened_files

_PACKAGE = Path(__file__).resolve().parents[1]

#: Where memtrain calls what the settings name.
_CALLERS = tuple(
    str(_PACKAGE / name)
    for name in (
        "components/custom_losses.py",
        "components/padded_batch.py",
        "components/transforms.py",
        "config/objects.py",
    )
)

#: Where memtrain calls hooks, on which no result depends.
_CALLS_HOOKS = str(_PACKAGE / "training" / "hooks.py")

#: Files that open files for others.
_IN_BETWEEN = (os.path.realpath(__file__), os.path.realpath(opened_files.__file__))

#: Endings of code, which the digest of the code has, or which belongs to packages.
_CODE = (".py", ".pyc", ".pyi", ".so", ".pyd", ".dylib", ".dll")

#: Files of the system.
_SYSTEM = (
    *("/proc/", "/sys/", "/dev/", "/etc/"),
    *("/usr/share/zoneinfo/", "/usr/share/locale/", "/usr/share/i18n/", "/usr/lib/locale/"),
)


@contextmanager
def watched_reads(where: str, declared: Sequence[str], imports: Sequence[str]) -> Iterator[None]:
    """Refuse files that code of the user's own reads meanwhile and the settings do not declare.

    Args:
        where: key of the settings, for error messages.
        declared: the files that the settings declare.
        imports: import paths of the user's own objects; without any, nothing is watched.

    Raises:
        UserError: at the end, with every such file.
    """
    if not imports:
        yield
        return
    watch = _Watch(declared)
    with told_of_opened_files(watch.hear):
        yield
    raise_problems(
        f"{where}.reads: {path} was read by code of yours, and is not declared, so that the model "
        f"would stay as it is when the file changes. Write `reads: [{path}]`."
        for path in watch.undeclared
    )


class _Watch:
    """Collects the files that are read."""

    def __init__(self, declared: Sequence[str]):
        self._declared = {os.path.realpath(path) for path in declared}
        self._written: set[str] = set()
        self._folders: set[str] = set()
        self._found: dict[str, None] = {}

    @property
    def undeclared(self) -> list[str]:
        """The files that were read and are not declared, in their order."""
        here = os.path.realpath(".") + os.sep
        return [path.removeprefix(here) for path in self._found]

    def hear(self, path: str, use: Use) -> None:
        """Note a file that is opened, or a folder that is made."""
        path = os.path.realpath(path)
        if use == "write":
            self._written.add(path)
        elif use == "make folder":
            self._folders.add(path)
        elif os.path.isdir(path):
            for folder, _, names in os.walk(path):
                self._note([os.path.join(folder, name) for name in names])
        else:
            self._note([path])

    def _note(self, paths: Sequence[str]) -> None:
        data = [path for path in map(os.path.realpath, paths) if self._is_undeclared(path)]
        if data and _is_for_user(sys._getframe(2)):
            self._found.update(dict.fromkeys(data))

    def _is_undeclared(self, path: str) -> bool:
        known = path in self._declared or path in self._found or self._is_own(path)
        return not known and not path.endswith(_CODE) and not _is_no_data(path)

    def _is_own(self, path: str) -> bool:
        """Return whether the process has written a file, or made the folder that it lies in."""
        return path in self._written or any(str(one) in self._folders for one in Path(path).parents)


def _is_no_data(path: str) -> bool:
    """Return whether a file belongs to the system or to Python, or is not there."""
    return path.startswith((*_SYSTEM, *_python_folders(), *_caches())) or not os.path.isfile(path)


def _is_for_user(frame: FrameType | None) -> bool:
    """Return whether the user's code opens a file, or has memtrain or a package open it.

    It does if memtrain has called it, or if memtrain has called a class or function of a package
    that the settings name, or if it runs in a thread of its own.

    Args:
        frame: the frame of the code that opens the file.
    """
    is_users, inside_memtrain = False, False
    while frame is not None:
        match _owner_of(frame.f_code.co_filename):
            case "hooks":
                return False
            case "caller" if not inside_memtrain:
                return True
            case "memtrain" | "caller" if is_users:
                return True
            case "memtrain" | "caller":
                inside_memtrain = True
            case "user":
                is_users = True
        frame = frame.f_back
    return is_users and not inside_memtrain


@cache
def _owner_of(file: str) -> Literal["memtrain", "caller", "hooks", "user", "nobody"]:
    """Return whose code a file holds: memtrain's, that of it which calls the user's, or whose."""
    path = os.path.realpath(file)
    if file.startswith("<") or path in _IN_BETWEEN:
        return "nobody"
    if path == _CALLS_HOOKS:
        return "hooks"
    if path in _CALLERS:
        return "caller"
    if path.startswith(f"{_PACKAGE}{os.sep}") or os.path.dirname(path) == str(_PACKAGE.parent):
        return "memtrain"
    return "nobody" if path.startswith(_python_folders()) else "user"


@cache
def _python_folders() -> tuple[str, ...]:
    """Return the folders of Python and of its packages, each with a separator at its end."""
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    real = [form for folder in folders for form in (folder, os.path.realpath(folder))]
    return tuple({folder + os.sep for folder in real})


@cache
def _caches() -> tuple[str, ...]:
    """Return the beginnings of the paths of what torch.compile keeps between runs."""
    named = [os.environ.get(name) for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")]
    found = [
        os.path.join(tempfile.gettempdir(), "torchinductor_"),
        os.path.expanduser("~/.triton/"),
    ]
    return tuple(os.path.realpath(folder) for folder in [*found, *filter(None, named)])
