"""The modules of this repository, imported once for programs that run copies of it.

A copy whose file has the same bytes would make the same module. So a fork of the warm Python takes
over the module that is there, and moves it to the path of the copy. It imports the file as usual
where something that the module imports differs, or where the module remembers its path.
"""

import _imp
import builtins
import importlib
import os
import pkgutil
import re
import sys
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path

PACKAGE = "memtrain"

#: A line outside of all functions that reads the path of its file.
_PATH_IS_READ = re.compile(rb"^\S.*\b__file__", re.MULTILINE)


def compile_once(folder):
    """Compile the files in a folder, and let imports of files with the same bytes use the code.

    Returns:
        The code of the files by their bytes.
    """
    known = {}
    for path in folder.rglob("*.py"):
        content = path.read_bytes()
        with suppress(SyntaxError):
            known[content] = compile(content, str(path), "exec", dont_inherit=True)
    compile_anew = SourceFileLoader.source_to_code

    def source_to_code(self, data, path, **options):
        code = known.get(bytes(data))
        if code is None:
            return compile_anew(self, data, path, **options)
        # As Python does for the code that it finds in a file of bytecode.
        _imp._fix_co_filename(code, path)
        return code

    SourceFileLoader.source_to_code = source_to_code
    return known


class KeptModules:
    """Imports the package, and is the first finder of modules in forks.

    Args:
        folder: the folder that the package lies in.
        code: the code of its files by their bytes; see ``compile_once``.
    """

    def __init__(self, folder, code):
        self._imports = {}
        with self._noted_imports(), _without_bytecode(), _first_in_path(folder):
            package = importlib.import_module(PACKAGE)
            for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
                with suppress(ImportError):
                    importlib.import_module(module.name)
            self._read_code(folder)
            self._make_schemas()
            self._find_loaders()
        names = [name for name in sys.modules if name.partition(".")[0] == PACKAGE]
        self._modules = {name: sys.modules.pop(name) for name in names}
        for package, _, module in (name.rpartition(".") for name in names if "." in name):
            # Python would not import what the package has already.
            delattr(self._modules[package], module)
        self._files = {
            name: Path(module.__file__).relative_to(folder)
            for name, module in self._modules.items()
        }
        self._code = code
        self._contents = {name: (folder / file).read_bytes() for name, file in self._files.items()}
        self._are_same = {
            name: False for name, text in self._contents.items() if _PATH_IS_READ.search(text)
        }
        sys.meta_path.insert(0, self)

    def _read_code(self, folder):
        """Let the package's reader of code know what is in the files of today."""
        name = f"{PACKAGE}.workflow.code_reader"
        if name in sys.modules:
            reader = sys.modules[name].CodeReader()
            for path in folder.rglob("*.py"):
                with suppress(SyntaxError):
                    reader.facts(path)

    def _make_schemas(self):
        """Let pydantic make the schemas of classes, which it otherwise does at their first use."""
        from pydantic import BaseModel

        modules = [module for name, module in sys.modules.items() if name.startswith(PACKAGE)]
        values = {
            value
            for module in modules
            for value in vars(module).values()
            if isinstance(value, type)
        }
        for model in values:
            if issubclass(model, BaseModel) and model.__module__.startswith(PACKAGE):
                model.model_rebuild()

    def _find_loaders(self):
        """Let the package replace the loaders that it watches, wherever modules have them.

        A training does this at its start, and goes through all that all modules hold.
        """
        name = f"{PACKAGE}.system.opened_files"
        if name in sys.modules:
            with sys.modules[name].told_of_opened_files(lambda path, use: None):
                pass

    @contextmanager
    def _noted_imports(self):
        """Note which modules of the package each of them imports."""
        original = builtins.__import__

        def noting(name, variables=None, local=None, items=(), level=0):
            module = original(name, variables, local, items, level)
            importer = (variables or {}).get("__name__", "")
            if importer.startswith(PACKAGE) and name.startswith(PACKAGE):
                found = {name, *(f"{name}.{item}" for item in items or ())} & sys.modules.keys()
                self._imports.setdefault(importer, set()).update(found)
            return module

        builtins.__import__ = noting
        try:
            yield
        finally:
            builtins.__import__ = original

    def find_spec(self, name, path=None, target=None):
        """Find a module that can be taken over, as Python asks its finders; None for others."""
        if name not in self._files:
            return None
        if name not in self._modules:
            # This process has forgotten its modules, and wants to import them again.
            sys.meta_path.remove(self)
            return None
        found = PathFinder.find_spec(name, path)
        if found and found.origin and self._is_same(name, self._folder_of(name, found.origin)):
            found.loader = _Mover(self, name, found.origin)
            return found
        return None

    def _folder_of(self, name, file):
        return Path(file).parents[len(self._files[name].parts) - 1]

    def _is_same(self, name, folder):
        """Return whether the files of a module, and of all that it imports, have the same bytes."""
        if name not in self._are_same:
            file = folder / self._files[name]
            self._are_same[name] = (
                file.is_file()
                and file.read_bytes() == self._contents[name]
                and all(self._is_same(other, folder) for other in self._imports.get(name, ()))
            )
        return self._are_same[name]

    def take(self, name):
        """Return a module, its code, and the names of the modules that it imports, once."""
        return (
            self._modules.pop(name),
            self._code[self._contents[name]],
            self._imports.get(name, set()),
        )


@contextmanager
def _without_bytecode():
    """Compile what is imported, so that its code is that of ``compile_once``."""
    sys.pycache_prefix = os.devnull
    try:
        yield
    finally:
        sys.pycache_prefix = None


@contextmanager
def _first_in_path(folder):
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


class _Mover(SourceFileLoader):
    """Gives a module that is there the path of a copy.

    Args:
        kept: the modules.
        name: the name of the module.
        path: the path of the copy of its file.
    """

    def __init__(self, kept, name, path):
        super().__init__(name, path)
        self._kept = kept
        self._imports = set()

    def create_module(self, spec):
        module, code, self._imports = self._kept.take(spec.name)
        _imp._fix_co_filename(code, spec.origin)
        module.__file__, module.__cached__, module.__loader__ = spec.origin, spec.cached, self
        if spec.submodule_search_locations is not None:
            module.__path__ = spec.submodule_search_locations
        return module

    def exec_module(self, module):
        """Import what the module imports; it has run already."""
        for name in self._imports:
            importlib.import_module(name)
