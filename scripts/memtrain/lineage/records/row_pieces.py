"""The rows that a run used, cut at the borders of shards, as its record holds them."""

from typing import TYPE_CHECKING

from memtrain.core.ranges import Range
from memtrain.lineage.records.run_record import PieceUse

if TYPE_CHECKING:
    from memtrain.data.manifest import Manifest
    from memtrain.recipes.recipe import Recipe, Rows

#: Most shards that the record of an indexing names.
_MOST_SHARDS = 16 * 1024


def pieces_of_recipe(rows: "Rows", recipe: "Recipe") -> list[PieceUse]:
    """Return the training rows or the evaluation rows of a recipe as pieces.

    Args:
        rows: ``recipe.training.rows`` or ``recipe.evaluation.rows``.
        recipe: the recipe; it has the digests of whole shards.
    """
    pieces = []
    grid = recipe.grid
    for piece in rows.pieces:
        shard = grid.shard_at(piece.start)
        pieces.append(
            PieceUse(
                shard=shard,
                rows=Range(piece.start, piece.end),
                digest=piece.digest,
                shard_digest=recipe.shards.get(str(shard)),
            )
        )
    return pieces


def pieces_of_manifest(manifest: "Manifest") -> list[PieceUse]:
    """Return all rows of a manifest as pieces, or no pieces for a very large manifest.

    The record has the digest of the manifest, and the manifest has all shards.
    """
    if len(manifest.shards) > _MOST_SHARDS:
        return []
    return [
        PieceUse(number, shard.rows, shard.digest, shard.digest)
        for number, shard in enumerate(manifest.shards)
    ]
