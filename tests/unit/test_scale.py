"""The formulas of `python -m benchmarks scale`."""

from dataclasses import fields

from benchmarks.scale import Constants, Cost, Project, extrapolated

#: Every constant is one byte and one second.
ONES = Constants(**{field.name: Cost(1, 1) for field in fields(Constants)})


def numbers(project):
    """Return number, gigabytes and hours of every line of the table, by its name."""
    found = {}
    for line in extrapolated(ONES, project)[4:]:
        name, number, size, hours = (cell.strip() for cell in line.strip("| ").split("|"))
        found[name] = float(number), float(size.split()[0]), float(hours.split()[0])
    return found


def test_every_amount_follows_from_rows_files_and_splits():
    project = Project(rows=2**30, columns=256, files=1e9, splits=64)
    found = numbers(project)
    shards = 2**30 * 1024 / 2**24
    assert found["files described"] == (1e9, 1.0, 278_000)
    assert found["manifest: shards"][0] == float(f"{shards:.2g}")
    assert found["manifest: shards"][1] == float(f"{shards * 257 / 1e9:.3g}")
    assert found["recipes: splits"][1] == float(f"{(64 + shards) / 1e9:.3g}")
    assert found["order of one split: blocks"][0] == float(f"{2**30 * 1024 / 2**18 / 64:.2g}")
    assert found["rows digested: MiB"][0] == float(f"{2**20:.2g}")


def test_twice_the_splits_have_the_same_pieces_together():
    one, two = (numbers(Project(splits=splits)) for splits in (1e4, 2e4))
    assert two["graph: splits"][0] == 2 * one["graph: splits"][0]
    assert two["recipes: splits"][1] == one["recipes: splits"][1]
