"""The code that a result depends on, and the digest of it.

This is the only place that says which code no result depends on. The rules list the files of
``result_code`` as inputs, and the fingerprint of a checkpoint has their digest.
"""

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from memtrain.config.evaluation import EvaluationSettings
from memtrain.config.training import TrainingSettings
from memtrain.workflow.code_reader import CodeFacts, CodeReader
from memtrain.workflow.reachable_code import CodeFile, CodeGraph, SearchPath

_PACKAGE = "memtrain"

#: The folder around the imported package.
_IMPORTED_FROM = Path(__file__).resolve().parents[2]

#: Folders and files that no rows, recipe, model, history, evaluation or prediction depends on. A
#: change in them makes none of these again.
UNRELATED_CODE = (
    "memtrain/cli/",
    "memtrain/config/tracking.py",
    "memtrain/frontdoor/",
    "memtrain/lineage/",
    "memtrain/reporting/",
    "memtrain/system/progress.py",
    "memtrain/tracking/",
    "memtrain/workflow/",
)

#: Folders among these that figures, tables and pages do depend on, by the script that makes them.
_REPORTING_CODE = {
    "draw": ("memtrain/reporting/",),
    "summarize": ("memtrain/lineage/", "memtrain/reporting/"),
}


class ResultCode:
    """The code that results depend on. Every file is read once: as it is when it is first needed.

    Args:
        scripts: the folder of the scripts.
        folder: the folder that the user's own modules lie in.
        reader: reads the files; None for one that knows none of them.
    """

    def __init__(self, scripts: Path, folder: Path = Path(), reader: CodeReader | None = None):
        self._scripts = scripts
        self._facts = cache((reader or CodeReader()).facts)
        search = SearchPath([scripts], {_PACKAGE: _IMPORTED_FROM})
        self._code = CodeGraph(search, self._facts)
        self._own_code = CodeGraph(SearchPath([folder]), self._facts)

    def reached(self, name: str, outside: Iterable[str] = ()) -> list[CodeFile]:
        """Return a script and every file that it can reach.

        Args:
            name: the name of the script's file.
            outside: beginnings of names of files that are left out, with all that is reached
                through them alone.

        Returns:
            The script first, then the others by their names.

        Raises:
            RuntimeError: if the package memtrain is not found.
        """
        script = self._scripts / name
        code = self._code.reachable([CodeFile(name, script)], list(outside))
        if not any(file.name == f"{_PACKAGE}/__init__.py" for file in code):
            raise RuntimeError(
                f"{script}: its code is not known, since the package {_PACKAGE} is neither beside "
                f"it nor in {_IMPORTED_FROM}."
            )
        return code

    def files(self, name: str) -> list[CodeFile]:
        """Return the files that the results of a script depend on; see ``result_code``."""
        inside = _REPORTING_CODE.get(Path(name).stem, ())
        return self.reached(name, [part for part in UNRELATED_CODE if part not in inside])

    def digest(self, name: str, modules: Iterable[str] = ()) -> str:
        """Return the digest of the code that the results of a script depend on.

        Args:
            name: the name of the script's file.
            modules: the names of the user's own modules that it imports, from ``own_modules``.

        Raises:
            RuntimeError: if the package memtrain is not found.
        """
        return _digest({*self.files(name), *_modules(modules, self._own_code)}, self._facts)


def script_code(script: Path) -> list[CodeFile]:
    """Return a script and every file that it can reach.

    Modules are looked for in the folder of the script, and those of memtrain also where the
    imported package lies, which is another folder if memtrain is installed.

    Args:
        script: the file of the script.

    Returns:
        The script first, then the others by their names.

    Raises:
        RuntimeError: if the package memtrain is not found.
    """
    return ResultCode(script.parent).reached(script.name)


def result_code(script: Path) -> list[CodeFile]:
    """Return the files that the results of a script depend on.

    Left out are the files of ``UNRELATED_CODE`` and what the script can reach only through them.

    Args:
        script: the file of the script.

    Returns:
        The script first, then the others by their names.

    Raises:
        RuntimeError: if the package memtrain is not found.
    """
    return ResultCode(script.parent).files(script.name)


def own_modules(
    settings: TrainingSettings, evaluation: EvaluationSettings | None = None
) -> list[str]:
    """Return the names of the user's own modules that settings name, sorted.

    Model, transform, loss, optimizer and schedules are the user's own if their names have a colon,
    like "package.module:Network".

    Args:
        settings: the settings of a training.
        evaluation: the settings of the evaluation, whose metrics count as well; None for a training
            alone.
    """
    names = [*settings.imports, *(evaluation.metrics.values() if evaluation else ())]
    return sorted({name.partition(":")[0] for name in names if ":" in name})


def own_code(
    settings: TrainingSettings, folder: Path, evaluation: EvaluationSettings | None = None
) -> list[CodeFile]:
    """Return the user's own files that settings name, with every file that those can reach.

    Args:
        settings: the settings of a training.
        folder: the folder that the user's modules lie in. Modules that are not found there are
            installed, and left out.
        evaluation: the settings of the evaluation, if its metrics count as well.
    """
    code = CodeGraph(SearchPath([folder]), CodeReader().facts)
    return _modules(own_modules(settings, evaluation), code)


def code_digest(files: Iterable[CodeFile]) -> str:
    """Return the digest of the names of files of code and of what runs in them, in any order.

    A comment or a docstring that no code reads does not count; see ``running_code``.
    """
    return _digest(files, CodeReader().facts)


def result_code_digest(script: Path, modules: Iterable[str] = (), folder: Path = Path()) -> str:
    """Return the digest of the code that the results of a script depend on.

    Args:
        script: the file of the script.
        modules: the names of the user's own modules that it imports, from ``own_modules``.
        folder: the folder that these lie in.

    Raises:
        RuntimeError: if the package memtrain is not found.
    """
    return ResultCode(script.parent, folder).digest(script.name, modules)


def _modules(names: Iterable[str], code: CodeGraph) -> list[CodeFile]:
    """Return the files of modules and every file that they can reach, by their names."""
    return sorted(set(code.reachable(code.modules(names))))


def _digest(files: Iterable[CodeFile], facts: Callable[[Path], CodeFacts]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.name} {facts(file.path).running}\n".encode())
    return f"sha256:{digest.hexdigest()}"
