"""Which files a script can reach: itself, and what it imports, found by reading them.

Nothing is imported to find out, and nothing is typed by hand: a rule that lists these files as
inputs runs again when a line that it can reach has changed, and for no other line. What a package
keeps in a folder ``assets`` beside its modules, whoever reaches the package reaches too.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any


def reachable_files(start: Path, roots: Sequence[Path]) -> list[Path]:
    """Return a script and every file that it can import, directly or not.

    Args:
        start: the script.
        roots: folders that modules are looked for in, in this order; what is found in none of them
            (the standard library, installed packages) is left out.

    Returns:
        The script first, then the others in alphabetical order.
    """
    found, queue = {start}, [start]
    while queue:
        for module in _imported_modules(queue.pop()):
            for file in _files_of(module, roots):
                if file not in found:
                    found.add(file)
                    if file.suffix == ".py":
                        queue.append(file)
    return [start, *sorted(found - {start})]


def module_files(module: str, roots: Sequence[Path]) -> list[Path]:
    """Return the file of a module, with every file that it can reach; empty where it is installed.

    Args:
        module: like "package.module".
        roots: as for ``reachable_files``.
    """
    files = list(_files_of(module, roots))
    return sorted({reached for file in files for reached in reachable_files(file, roots)})


def own_module_files(choices: Iterable[Any], here: Path) -> list[Path]:
    """Return the files behind things that settings chose as "package.module:name".

    Args:
        choices: with a ``name``; those without a colon are not the user's own.
        here: the folder that the user's modules lie in; installed ones are left out.
    """
    modules = {choice.name.partition(":")[0] for choice in choices if ":" in choice.name}
    return sorted({file for module in modules for file in module_files(module, [here])})


def _imported_modules(file: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports when it runs, anywhere in it."""
    for node in _nodes_that_run(ast.parse(file.read_bytes(), filename=str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, file)
            yield module
            # `from package import module` names a file as often as it names an object.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree's nodes, without those that only type checkers read."""
    queue = [tree]
    while queue:
        node = queue.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            queue += node.orelse
        else:
            queue += ast.iter_child_nodes(node)


def _is_type_checking(test: ast.expr) -> bool:
    """Return whether a condition is ``TYPE_CHECKING`` or ``typing.TYPE_CHECKING``."""
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


def _absolute(node: ast.ImportFrom, file: Path) -> str:
    """Return the module of a `from` import; of a relative one, seen from the file's package."""
    if not node.level:
        return node.module or ""
    package = file.parents[node.level - 1]
    names = []
    while (package / "__init__.py").exists():
        names.insert(0, package.name)
        package = package.parent
    return ".".join([*names, *filter(None, [node.module])])


def _files_of(module: str, roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the file of a module, the ``__init__.py`` of every package around it, and assets."""
    parts = module.split(".")
    for root in roots:
        file = root.joinpath(*parts).with_suffix(".py")
        package = root.joinpath(*parts, "__init__.py")
        target = next((path for path in (file, package) if path.is_file()), None)
        if target is None or not module:
            continue
        for depth in range(1, len(parts)):
            around = root.joinpath(*parts[:depth], "__init__.py")
            if around.is_file():
                yield around
        yield target
        if (target.parent / "__init__.py").is_file():
            yield from sorted(file for file in target.parent.glob("assets/**/*") if file.is_file())
        return
