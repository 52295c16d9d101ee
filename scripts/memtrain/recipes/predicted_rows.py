"""Which rows predictions were made of: a digest that changes with them, and with nothing else."""

from collections.abc import Sequence

from memtrain.core.ranges import Range
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
