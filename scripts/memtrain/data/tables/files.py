"""Opens files of any kind as tables."""

from collections.abc import Callable, Iterable
from pathlib import Path

from memtrain.core.errors import UserError, raise_problems
from memtrain.data.tables.arrow_files import open_ipc, open_parquet
from memtrain.data.tables.csv_files import open_csv, open_csv_gz, open_zip
from memtrain.data.tables.numpy_files import open_npy, open_npz
from memtrain.data.tables.source_files import ending_of
from memtrain.data.tables.table import Table, reading_errors

_OPENERS: dict[str, Callable[[Path], list[Table]]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".csv": open_csv,
    ".csv.gz": open_csv_gz,
    ".zip": open_zip,
    ".parquet": open_parquet,
    ".arrow": open_ipc,
    ".feather": open_ipc,
}


def open_tables(files: Iterable[Path]) -> list[Table]:
    """Open files as tables: one per file, or one per CSV member of a ``.zip``, in name order.

    Args:
        files: files with a known ending, from ``source_files``.

    Raises:
        UserError: naming every file that cannot be read.
    """
    tables: list[Table] = []
    problems: list[str] = []
    for file in files:
        try:
            with reading_errors(str(file)):
                tables += _OPENERS[ending_of(file)](file)
        except UserError as error:
            problems += error.problems
    raise_problems(problems)
    return tables
