"""A Provenance Run Crate that cannot be written."""

import pytest

from memtrain.core.errors import UserError
from memtrain.lineage.export.provenance import Provenance
from memtrain.lineage.export.rocrate import write_crate


def test_a_crate_without_its_workflow_is_refused(tmp_path):
    nothing = Provenance(dataset="x", results=(), runs=(), workflow_runs=(), data="data.npy")
    with pytest.raises(UserError, match="Snakefile should be here"):
        write_crate(
            nothing, project=tmp_path, folder=tmp_path, snakefile=tmp_path / "gone/Snakefile"
        )
    assert list(tmp_path.iterdir()) == []
