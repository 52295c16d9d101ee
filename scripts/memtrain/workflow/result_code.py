"""The code that a result depends on, and the digest of it.

This is the only place that says which code no result depends on. The rules list the files of
``result_code`` as inputs, and the fingerprint of a checkpoint has their digest.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from memtrain.config.evaluation import EvaluationSettings
from memtrain.config.training import TrainingSettings
from memtrain.workflow.code_reader import CodeReader
from memtrain.workflow.reachable_code import CodeFile, SearchPath, module_files, reachable_code

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
    return _script_code(script, outside=())


def result_code(script: Path, reader: CodeReader | None = None) -> list[CodeFile]:
    """Return the files that the results of a script depend on.

    Left out are the files of ``UNRELATED_CODE`` and what the script can reach only through them.

    Args:
        script: the file of the script.
        reader: reads the files; None for one that knows none of them.

    Returns:
        The script first, then the others by their names.

    Raises:
        RuntimeError: if the package memtrain is not found.
    """
    inside = _REPORTING_CODE.get(script.stem, ())
    outside = [part for part in UNRELATED_CODE if part not in inside]
    return _script_code(script, outside, reader)


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
    return _module_code(own_modules(settings, evaluation), folder)


def code_digest(files: Iterable[CodeFile], reader: CodeReader | None = None) -> str:
    """Return the digest of the names of files of code and of what runs in them, in any order.

    A comment or a docstring that no code reads does not count; see ``running_code``.
    """
    reader = reader or CodeReader()
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.name} {reader.facts(file.path).running}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def result_code_digest(
    script: Path,
    modules: Iterable[str] = (),
    folder: Path = Path(),
    reader: CodeReader | None = None,
) -> str:
    """Return the digest of the code that the results of a script depend on.

    Args:
        script: the file of the script.
        modules: the names of the user's own modules that it imports, from ``own_modules``.
        folder: the folder that these lie in.
        reader: reads the files; None for one that knows none of them.

    Raises:
        RuntimeError: if the package memtrain is not found.
    """
    reader = reader or CodeReader()
    files = {*result_code(script, reader), *_module_code(modules, folder, reader)}
    return code_digest(files, reader)


def _module_code(
    modules: Iterable[str], folder: Path, reader: CodeReader | None = None
) -> list[CodeFile]:
    search = SearchPath([folder])
    start = [file for module in modules for file in module_files(module, search)]
    return sorted(set(reachable_code(start, search, reader=reader)))


def _script_code(
    script: Path, outside: Iterable[str], reader: CodeReader | None = None
) -> list[CodeFile]:
    search = SearchPath([script.parent], {_PACKAGE: _IMPORTED_FROM})
    code = reachable_code([CodeFile(script.name, script)], search, list(outside), reader)
    if not any(file.name == f"{_PACKAGE}/__init__.py" for file in code):
        raise RuntimeError(
            f"{script}: its code is not known, since the package {_PACKAGE} is neither beside it "
            f"nor in {_IMPORTED_FROM}."
        )
    return code
