"""Tells which files this process opens: by Python, and by loaders that Python does not see.

Python tells its audit hooks of every file that it opens itself. Libraries in C++ and Rust open
files without it. Of these, the loaders of safetensors, of pyarrow and of PyTorch are known here:
their public functions are replaced by ones that tell the path first, wherever a module has taken
them before, and in modules that are imported later.
"""

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

#: What is done to a file, or that a temporary folder is made.
Use = Literal["read", "write", "make folder"]

#: Called with the path of a file, or of a folder that is made, and with its use.
Listener = Callable[[str, Use], None]

#: Functions that open files past Python, by the module that they are known by.
_LOADERS = {
    "safetensors": ("safe_open",),
    "pyarrow": ("memory_map", "OSFile", "input_stream"),
    "pyarrow.csv": ("read_csv", "open_csv"),
    "pyarrow.dataset": ("dataset",),
    "pyarrow.feather": ("read_feather", "read_table"),
    "pyarrow.ipc": ("RecordBatchFileReader.__init__", "RecordBatchStreamReader.__init__"),
    "pyarrow.json": ("read_json", "open_json"),
    "pyarrow.orc": ("ORCFile.__init__", "read_table"),
    "pyarrow.parquet.core": (
        *("ParquetFile.__init__", "ParquetDataset.__init__", "read_metadata", "read_schema"),
    ),
    "torch": ("from_file", "UntypedStorage.from_file"),
    "torch.export": ("load",),
    "torch.jit._serialization": ("load",),
    "torch.package.package_importer": ("PackageImporter.__init__",),
}

_listeners: list[Listener] = []


@contextmanager
def told_of_opened_files(listener: Listener) -> Iterator[None]:
    """Call a function for every file that this process opens meanwhile, in any thread.

    Python cannot remove an audit hook, so the hook stays, and does nothing without listeners.

    Args:
        listener: called before the file is opened; the file need not be there. What it raises is
            raised where the file is opened.
    """
    _install()
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@cache
def _install() -> None:
    sys.addaudithook(_hear)
    _replace_loaders([sys.modules[name] for name in _LOADERS if name in sys.modules])
    sys.meta_path.insert(0, _Finder())


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _listeners:
        return
    if event == "open":
        path, _, flags = arguments
        # Python opens code with other flags than files.
        is_new = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_TRUNC | os.O_EXCL))
        _tell(path, "write" if is_new else "read")
    elif event == "sqlite3.connect":
        _tell([arguments[0], *_path_of_uri(arguments[0])], "read")
    elif event == "tempfile.mkdtemp":
        _tell(arguments[0], "make folder")


def _path_of_uri(database: object) -> list[str]:
    """Return the path of a database that is named as SQLite's URIs name it: file:PATH?mode=ro."""
    if not isinstance(database, str) or not database.startswith("file:"):
        return []
    return [unquote(urlsplit(database).path)]


def _tell(path: object, use: Use) -> None:
    """Tell the listeners of a path, or of every path in a list."""
    if isinstance(path, list | tuple):
        for one in path:
            _tell(one, use)
    elif isinstance(path, str | bytes | os.PathLike):
        for listener in tuple(_listeners):
            listener(os.fsdecode(path), use)


def _replace_loaders(modules: Sequence[ModuleType]) -> None:
    """Replace the loaders of modules, in them and wherever they were taken from them."""
    functions = {}
    for module in modules:
        for name in _LOADERS[module.__name__]:
            holder, _, method = name.rpartition(".")
            owner = getattr(module, holder, None) if holder else module
            original = getattr(owner, method, None)
            if original is None:
                continue
            is_static = _is_static(owner, method)
            telling = _telling(original, position=1 if holder and not is_static else 0)
            setattr(owner, method, staticmethod(telling) if is_static else telling)
            if not holder:
                functions[id(original)] = telling
    _replace_where_taken(functions)


def _is_static(owner: Any, method: str) -> bool:
    """Return whether a method, which may be inherited, gets neither an object nor its class."""
    classes = getattr(owner, "__mro__", ())
    found = next((vars(one)[method] for one in classes if method in vars(one)), None)
    return isinstance(found, staticmethod)


def _replace_where_taken(functions: Mapping[int, Callable[..., Any]]) -> None:
    """Replace functions in all modules, by their ids; one search, since modules are many."""
    for module in list(sys.modules.values()):
        for key, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in functions:
                setattr(module, key, functions[id(value)])


def _telling(function: Callable[..., Any], position: int) -> Callable[..., Any]:
    """Return a function that tells its first argument, a path, before it does the same.

    Args:
        function: the loader.
        position: the position of the path: 1 for methods, 0 for functions.
    """

    @functools.wraps(function)
    def telling(*positional: Any, **named: Any) -> Any:
        if _listeners:
            given = [*positional[position:], *named.values()]
            _tell(given[0] if given else None, "read")
        return function(*positional, **named)

    return telling


class _Finder(MetaPathFinder):
    """Replaces the loaders of modules as soon as these are imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module lies that has loaders; None for all others."""
        if fullname not in _LOADERS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _replace_loaders([module])

            # The loader belongs to this import alone.
            vars(spec.loader)["exec_module"] = exec_module
        return spec
