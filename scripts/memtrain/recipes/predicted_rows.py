"""Which rows predictions were made of: digests that change with them, and with nothing else."""

from collections.abc import Sequence

from memtrain.config.files import FieldSettings
from memtrain.config.text_files import CsvSettings
from memtrain.core.ranges import Range
from memtrain.data.made_from import settings_digest
from memtrain.data.manifest import Manifest
from memtrain.system import canonical_json


def digest_of_predicted_rows(manifest: Manifest, ranges: Sequence[Range], withdrawals: str) -> str:
    """Return the digest of rows of a dataset, by the shards in which they lie.

    Args:
        manifest: manifest of the data.
        ranges: the rows, those that are withdrawn included.
        withdrawals: digest of the withdrawn rows, which are left out.
    """
    touched = manifest.touched_shards(list(ranges))
    return canonical_json.digest(
        {
            "ranges": [[one.start, one.end] for one in ranges],
            "shards": {str(number): manifest.shards[number].digest for number in touched},
            "withdrawals": withdrawals,
        }
    )


def predicted_settings(
    files: str | FieldSettings | None, csv: CsvSettings | None
) -> dict[str, str]:
    """Return the digests of settings that say how files are read, by the names of what they are.

    Args:
        files: the files; a field, where rows are read where they lie.
        csv: how text files are written; None: as those that were imported.
    """
    layout = {"layout": settings_digest(files)} if isinstance(files, FieldSettings) else {}
    return layout | ({"csv": settings_digest(csv)} if csv else {})
