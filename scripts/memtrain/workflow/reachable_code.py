"""Finds the files that a file of code can reach: the file itself and what it imports.

Imports are found by parsing the files; nothing is imported, and no list of files is kept by hand.
The files in a folder ``assets`` beside the modules of a package belong to all its modules.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from memtrain.workflow.code_reader import CodeReader, Import


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
    start: Sequence[CodeFile],
    search: SearchPath,
    outside: Sequence[str] = (),
    reader: CodeReader | None = None,
) -> list[CodeFile]:
    """Return files of code and every file that they can import, directly or not.

    Args:
        start: the files to start from.
        search: where modules are looked for.
        outside: beginnings of names of files that are left out. What only these files import is
            not found either.
        reader: reads the files; None for one that knows none of them.

    Returns:
        The files to start from, then the others by their names.
    """
    reader = reader or CodeReader()
    find = cache(lambda module: module_files(module, search))
    found, queue = set(start), list(start)
    while queue:
        for module in imported_modules(queue.pop().path, reader):
            for file in find(module):
                if file not in found and not file.name.startswith(tuple(outside)):
                    found.add(file)
                    if file.path.suffix == ".py":
                        queue.append(file)
    return [*start, *sorted(found - set(start))]


def module_files(module: str, search: SearchPath) -> list[CodeFile]:
    """Return the file of a module, the ``__init__.py`` of every package around it, and its assets.

    Args:
        module: the name of the module, like "package.module".
        search: where it is looked for.

    Returns:
        The files; none for a module that is installed.
    """
    for folder in search.folders_for(module) if module else ():
        parts = folder.joinpath(*module.split("."))
        candidates = (parts.with_suffix(".py"), parts / "__init__.py")
        target = next((path for path in candidates if path.is_file()), None)
        if target is not None:
            paths = [*_inits_around(target, folder), target, *_assets(target.parent)]
            return [CodeFile(path.relative_to(folder).as_posix(), path) for path in paths]
    return []


def _inits_around(file: Path, folder: Path) -> list[Path]:
    """Return the ``__init__.py`` of every package that a file lies in, below a folder."""
    packages = [parent for parent in file.parents if parent.is_relative_to(folder)]
    inits = (package / "__init__.py" for package in packages if package != folder)
    return [init for init in inits if init != file and init.is_file()]


def _assets(folder: Path) -> list[Path]:
    """Return the files in the folder ``assets`` of a package; none if the folder is no package."""
    if not (folder / "__init__.py").is_file():
        return []
    return sorted(path for path in folder.glob("assets/**/*") if path.is_file())


def imported_modules(file: Path, reader: CodeReader) -> list[str]:
    """Return the dotted names of what a file imports when it runs, anywhere in it.

    For ``from package import name`` this has "package" and "package.name", which may be a module.
    """
    modules: list[str] = []
    for one in reader.facts(file).imports:
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
