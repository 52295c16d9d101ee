"""Opens files of any kind as tables."""

from collections.abc import Callable, Iterable
from pathlib import Path

from memtrain.config.dataset import ImportSettings, TwoPaths
from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError, raise_problems
from memtrain.data.tables.arrow_files import open_ipc, open_parquet
from memtrain.data.tables.csv_files import open_text, open_zip
from memtrain.data.tables.joined_tables import join_tables
from memtrain.data.tables.numpy_files import open_npy, open_npz
from memtrain.data.tables.source_files import ending_of, source_files
from memtrain.data.tables.table import Table, reading_errors

_OPENERS: dict[str, Callable[[Path], list[Table]]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".parquet": open_parquet,
    ".arrow": open_ipc,
    ".feather": open_ipc,
}


def open_tables(files: Iterable[Path], csv: CsvSettings | None = None) -> list[Table]:
    """Open files as tables: one per file, or one per text file of a ``.zip``, in name order.

    Args:
        files: files with a known ending, from ``source_files``.
        csv: how text files are written; as usual unless given.

    Raises:
        UserError: naming every file that cannot be read.
    """
    csv = csv or CsvSettings()
    tables: list[Table] = []
    problems: list[str] = []
    for file in files:
        try:
            with reading_errors(str(file)):
                tables += _open(file, csv)
        except UserError as error:
            problems += error.problems
    raise_problems(problems)
    return tables


def open_source(settings: ImportSettings) -> list[Table]:
    """Open all files of an import, features and target in two files side by side.

    Raises:
        UserError: naming every file that cannot be read, or is meant by both paths.
    """
    path = settings.path
    if not isinstance(path, TwoPaths):
        return open_tables(source_files(path), settings.csv)
    features, target = source_files(path.features), source_files(path.target)
    raise_problems(
        f"path: {file} holds features and target; two paths are for files of their own. Write "
        f"`path: {file}`."
        for file in features
        if file in target
    )
    return join_tables(open_tables(features, settings.csv), open_tables(target, settings.csv))


def _open(file: Path, csv: CsvSettings) -> list[Table]:
    ending = ending_of(file)
    if ending in _OPENERS:
        return _OPENERS[ending](file)
    return open_zip(file, ending, csv) if ending == ".zip" else open_text(file, ending, csv)
