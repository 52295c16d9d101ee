"""A value that no model can be given is told with its place in the file it was imported from."""

import pytest
import yaml

import import_data
import index_shards
import resolve_splits
from memtrain.core.errors import UserError


@pytest.mark.parametrize("shuffle_once", [None, 1])
def test_an_infinite_value_is_told_with_its_file_and_line(tmp_path, monkeypatch, shuffle_once):
    monkeypatch.chdir(tmp_path)
    rows = [f"{number},{number}\n" for number in range(200)]
    rows[150] = "\n\n150,inf\n"
    (tmp_path / "t.csv").write_text("y,x\n" + "".join(rows))
    settings = {
        "path": "t.csv",
        "features": ["x"],
        "target": ["y"],
        "shuffle_once": shuffle_once,
    }
    config = {
        "dataset": {"name": "d", "import": settings},
    }
    config["splits"] = {"all": {"train": [0, 100], "evaluate": [100, 200]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    files = ["--data", "data.npy", "--source", "source.json"]
    import_data.main(["--settings", yaml.safe_dump(settings), *files])
    index_shards.main(["--data", "data.npy", "--manifest", "manifest.json"])
    with pytest.raises(UserError, match=r"data\.npy, row \d+ \[t\.csv, line 154 \(row 150\)\]"):
        resolve_splits.main(
            ["--config", "config.yaml", *files, "--manifest", "manifest.json", "--splits", "splits"]
        )
