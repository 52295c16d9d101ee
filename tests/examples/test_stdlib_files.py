"""The list of files of examples/stdlib_gpt: which files, and which of their windows for what."""

import gzip
import json
import sys

import pytest
import yaml

from memtrain.config.reading import parse_configuration
from memtrain.data.files_description import describe_files


@pytest.fixture(scope="module")
def example(repository):
    """Return the modules of the example."""
    folder = repository / "examples" / "stdlib_gpt"
    sys.path.append(str(folder))
    import compare
    import prepare

    yield prepare, compare
    sys.path.remove(str(folder))


#: Sizes of the files of a small library: none, too few bytes for a window, just enough, more.
SIZES = {
    "abc.py": 129,
    "asyncio/__init__.py": 0,
    "asyncio/events.py": 1000,
    "email/__init__.py": 128,
    "email/mime/text.py": 257,
    "encodings/cp037.py": 4000,
    "json/__init__.py": 640,
    "json/tests/test_dump.py": 4000,
    "site-packages/torch/json.py": 4000,
    "test/test_abc.py": 4000,
    "zoneinfo/_common.py": 513,
}


@pytest.fixture
def library(tmp_path):
    for name, size in SIZES.items():
        path = tmp_path / "library" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(number % 251 for number in range(size)))
    return tmp_path / "library"


@pytest.fixture
def listed(example, library, tmp_path):
    prepare, _ = example
    path = tmp_path / "data" / "files.yaml"
    assert prepare.main(["--library", str(library), "--files", str(path)]) == 0
    return path


def test_ranges_are_the_windows_of_the_packages(listed, library, repository):
    configuration = yaml.safe_load(listed.read_text())
    fixed = yaml.safe_load((repository / "examples/stdlib_gpt/config.yaml").read_text())
    configuration["dataset"]["files"] |= fixed["dataset"].pop("files")
    configuration["dataset"] |= fixed["dataset"]
    settings = parse_configuration(configuration | {"training": fixed["training"]})
    layout, source = describe_files(settings.dataset.files)
    paths = [str(library / name) for name in SIZES]
    used = [*paths[:1], paths[-1], *paths[3:5], *paths[1:3], paths[6]]
    assert list(layout.stored[0].stream.paths) == used
    assert (source.task, source.classes) == ("classification", 256)
    # 129 and 513 bytes are 1 + 4 windows; 128 and 257: 0 + 2; 0, 1000 and 640: 0 + 7 + 4.
    assert configuration["splits"]["gpt"] == {
        "train": [0, 5],
        "validate": [5, 7],
        "evaluate": [7, 18],
    }
    assert layout.rows == 18


def test_gzip_is_compared_on_the_files_that_are_evaluated(example, listed, library, tmp_path):
    _, compare = example
    evaluation = {"metrics": {"bits_per_element": 2.5}, "baseline": {"bits_per_element": 4.75}}
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    table = tmp_path / "report" / "comparison.md"
    arguments = ["--evaluation", str(tmp_path / "evaluation.json"), "--table", str(table)]
    assert compare.main(["--files", str(listed), *arguments]) == 0
    texts = [(library / name).read_bytes() for name in ("asyncio/events.py", "json/__init__.py")]
    by_file = sum(len(gzip.compress(text, 9)) for text in texts) * 8 / 1640
    as_one = len(gzip.compress(b"".join(texts), 9)) * 8 / 1640
    assert table.read_text().splitlines()[2:] == [
        "| unigram model | 4.750 |",
        f"| gzip, file by file | {by_file:.3f} |",
        f"| gzip, all files as one | {as_one:.3f} |",
        "| GPT | 2.500 |",
    ]
