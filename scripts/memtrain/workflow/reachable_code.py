"""Finds the files that a file of code can reach: the file itself and what it imports.

Imports are found by parsing the files; nothing is imported, and no list of files is kept by hand.
The files in a folder ``assets`` beside the modules of a package belong to all its modules.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from memtrain.workflow.code_reader import CodeFacts, CodeReader, Import


@dataclass(frozen=True, order=True)
class CodeFile:
    """A file of code.

    Attributes:
        name: the path relative to the folder that the file is imported from, like
            "memtrain/core/errors.py"; it stays the same wherever that folder lies.
        path: where the file lies.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class SearchPath:
    """Where modules are looked for. Modules that are found nowhere are installed, and left out.

    Attributes:
        folders: folders of modules of any name, the first one first.
        packages: the folder around a package, by the name of the package; for packages that are in
            none of the folders.
    """

    folders: Sequence[Path]
    packages: Mapping[str, Path] = field(default_factory=dict)

    def folders_for(self, module: str) -> Iterator[Path]:
        """Yield the folders that a module may lie in."""
        yield from self.folders
        if (folder := self.packages.get(module.partition(".")[0])) is not None:
            yield folder


def reachable_code(
    start: Sequence[CodeFile], search: SearchPath, outside: Sequence[str] = ()
) -> list[CodeFile]:
    """Return files of code and every file that they can import; see ``CodeGraph.reachable``.

    Args:
        start: the files to start from.
        search: where modules are looked for.
        outside: beginnings of names of files that are left out.
    """
    return CodeGraph(search, CodeReader().facts).reachable(start, outside)


def module_files(module: str, search: SearchPath) -> list[CodeFile]:
    """Return the file of a module, the ``__init__.py`` of every package around it, and its assets.

    Args:
        module: the name of the module, like "package.module".
        search: where it is looked for.

    Returns:
        The files; none for a module that is installed.
    """
    return _Finder(search).files(module)


class CodeGraph:
    """Which files of code import which others. Every file is looked at once.

    Args:
        search: where modules are looked for.
        facts: returns the facts of a file of code.
    """

    def __init__(self, search: SearchPath, facts: Callable[[Path], CodeFacts]):
        self._facts = facts
        self._find = _Finder(search).files
        self._imported = cache(self._files_imported_by)

    def modules(self, names: Iterable[str]) -> list[CodeFile]:
        """Return the files of modules, as ``module_files`` does."""
        return [file for name in names for file in self._find(name)]

    def reachable(self, start: Sequence[CodeFile], outside: Sequence[str] = ()) -> list[CodeFile]:
        """Return files of code and every file that they can import, directly or not.

        Args:
            start: the files to start from.
            outside: beginnings of names of files that are left out. What only these files import is
                not found either.

        Returns:
            The files to start from, then the others by their names.
        """
        left_out = tuple(outside)
        found, queue = set(start), list(start)
        while queue:
            for file in self._imported(queue.pop()):
                if file not in found and not file.name.startswith(left_out):
                    found.add(file)
                    if file.path.suffix == ".py":
                        queue.append(file)
        return [*start, *sorted(found - set(start))]

    def _files_imported_by(self, file: CodeFile) -> list[CodeFile]:
        modules = imported_modules(file.path, self._facts(file.path))
        return list(dict.fromkeys(self.modules(modules)))


class _Finder:
    """Finds the files of modules, and asks for each file once.

    Args:
        search: where modules are looked for.
    """

    def __init__(self, search: SearchPath):
        self._search = search
        self.files = cache(self._files)
        self._file = cache(self._file_named)
        self._assets = cache(self._assets_of)
        self._is_folder = cache(os.path.isdir)

    def _files(self, module: str) -> list[CodeFile]:
        """Return the files of a module; none for a module that is installed."""
        names = module.split(".")
        for folder in self._search.folders_for(module) if module else ():
            if not self._is_folder(os.path.join(folder, *names[:-1])):
                continue
            packages = ["/".join(names[:count]) for count in range(1, len(names) + 1)]
            target = self._file(folder, f"{packages[-1]}.py")
            if target is None:
                target = self._file(folder, f"{packages[-1]}/__init__.py")
                around = packages
            else:
                around = packages[:-1]
            if target is not None:
                inits = [self._file(folder, f"{package}/__init__.py") for package in around]
                assets = self._assets(folder, around[-1] if around else ".")
                return [*dict.fromkeys(file for file in (*inits, target) if file), *assets]
        return []

    def _file_named(self, folder: Path, name: str) -> CodeFile | None:
        """Return a file below a folder; None if there is none."""
        return CodeFile(name, folder / name) if os.path.isfile(os.path.join(folder, name)) else None

    def _assets_of(self, folder: Path, package: str) -> list[CodeFile]:
        """Return the files in the folder ``assets`` of a package; none if it is no package."""
        if not self._file(folder, f"{package}/__init__.py"):
            return []
        paths = (path for path in (folder / package).glob("assets/**/*") if path.is_file())
        return [CodeFile(path.relative_to(folder).as_posix(), path) for path in sorted(paths)]


def imported_modules(file: Path, facts: CodeFacts) -> list[str]:
    """Return the dotted names of what a file imports when it runs, anywhere in it.

    For ``from package import name`` this has "package" and "package.name", which may be a module.

    Args:
        file: the file.
        facts: what it imports, as it is written there.
    """
    modules: list[str] = []
    for one in facts.imports:
        module = _absolute(one, file)
        modules += [module, *(f"{module}.{name}" for name in one.names)]
    return modules


def _absolute(one: Import, file: Path) -> str:
    """Return the absolute name of the module of an import."""
    if not one.level:
        return one.module
    package = file.parents[one.level - 1]
    names: list[str] = []
    while (package / "__init__.py").exists():
        names.insert(0, package.name)
        package = package.parent
    return ".".join([*names, *filter(None, [one.module])])
