"""What `memtrain init` proposes for streams of tokens and for the bytes of a text."""

from itertools import pairwise

import numpy as np
import pytest

from memtrain.core.errors import UserError

TOKENS = np.random.default_rng(1).integers(0, 300, 100_001)


def files_of(content):
    return content["dataset"]["files"]


@pytest.mark.parametrize("ending", ["bin", "npy"])
def test_a_stream_is_learned_token_by_token(init, repository, tmp_path, ending):
    if ending == "bin":
        TOKENS.astype("u2").tofile(tmp_path / "t.bin")
        content = init("t.bin", "--dtype", "uint16")
        assert files_of(content)["dtype"] == "uint16"
    else:
        np.save(tmp_path / "t.npy", TOKENS)
        content = init("t.npy")
        assert "dtype" not in files_of(content)
    assert files_of(content)["windows"] == {"length": 128, "target": "next"}
    assert content["training"]["loss"] == "CrossEntropyLoss"
    assert content["training"]["transform"] == "none"
    model = repository / "examples/stdlib_gpt/gpt.py"
    assert (tmp_path / "gpt.py").read_bytes() == model.read_bytes()


@pytest.mark.parametrize("tokens", [500, 5_000, 100_000, 13_000_000])
def test_no_two_ranges_share_a_token(init, tmp_path, tokens):
    np.resize(TOKENS.astype("u1"), tokens).tofile(tmp_path / "t.bin")
    content = init("t.bin", "--dtype", "uint8")
    length = files_of(content)["windows"]["length"]
    ranges = [content["splits"]["all"][use] for use in ("train", "validate", "evaluate")]
    ends = [(start * length, end * length + 1) for start, end in ranges]
    assert ends[0][0] == 0
    assert ends[-1][1] <= tokens < ends[-1][1] + length
    for (_, end), (start, _) in pairwise(ends):
        assert 0 < start - end < length


def test_files_are_one_stream(init, tmp_path):
    for part in range(3):
        np.save(tmp_path / f"part_{part}.npy", TOKENS.astype("u2"))
    assert files_of(init("part_*.npy"))["path"] == "part_*.npy"
    (tmp_path / "config.yaml").unlink()
    names = ["part_0.npy", "part_1.npy"]
    assert files_of(init(*names, "--tokens"))["path"] == names


def test_of_a_text_the_bytes_are_learned(init, tmp_path):
    (tmp_path / "book.txt").write_text("It was the best of times. " * 1000)
    content = init("book.txt", "--tokens")
    assert (files_of(content)["path"], files_of(content)["dtype"]) == ("book.txt", "uint8")
    assert content["dataset"]["name"] == "book"


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (TOKENS[:100], ["--dtype", "uint16"], "100 elements in all, too few.*400 or more"),
        (np.zeros(1000), ["--dtype", "uint16"], "same value wherever"),
        (TOKENS[:-1], ["--dtype", "float32"], "whole numbers one behind the other"),
        (TOKENS, ["--dtype", "uint15"], "known types are"),
        (TOKENS, ["--dtype", "uint16", "--target", "x"], "Leave out --target"),
        (TOKENS, [], "--dtype uint16"),
        (None, ["--tokens"], "no such file"),
    ],
)
def test_a_mistake_is_a_sentence_and_nothing_is_written(
    init, tmp_path, content, arguments, message
):
    if content is not None:
        content.astype("u2").tofile(tmp_path / "t.bin")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message):
        init("t.bin", *arguments)
    assert sorted(tmp_path.iterdir()) == before


def test_a_packed_text_has_to_be_unpacked(init, tmp_path):
    (tmp_path / "book.txt.gz").write_bytes(bytes(1000))
    with pytest.raises(UserError, match="Unpack it"):
        init("book.txt.gz", "--tokens")


def test_a_model_of_the_users_stays(init, tmp_path):
    np.save(tmp_path / "t.npy", TOKENS)
    (tmp_path / "gpt.py").write_text("mine = 1\n")
    with pytest.raises(UserError, match=r"gpt\.py: a file of this name is here"):
        init("t.npy")
    assert not (tmp_path / "config.yaml").exists()
    assert (tmp_path / "gpt.py").read_text() == "mine = 1\n"


def test_whole_numbers_beside_a_target_are_no_stream(init, tmp_path):
    np.save(tmp_path / "x.npy", TOKENS[:500])
    np.save(tmp_path / "y.npy", TOKENS[:500] / 7)
    assert init("x.npy", "y.npy")["dataset"]["import"]["path"]["target"] == "y.npy"
