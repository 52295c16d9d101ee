"""Verdict files: older than any result where it is current, a little newer where it is not."""

import os

import pytest

from memtrain.workflow.verdict_files import write_current, write_new, write_stale


@pytest.fixture
def result(tmp_path):
    path = tmp_path / "result"
    path.touch()
    os.utime(path, (1e9, 1e9))
    return path


def test_the_verdict_of_a_current_result_is_older_than_it(tmp_path, result):
    verdict = tmp_path / "verdict"
    write_current(verdict)
    assert verdict.stat().st_mtime < result.stat().st_mtime
    before = verdict.stat().st_ino
    write_current(verdict)
    assert verdict.stat().st_ino == before


def test_the_verdict_on_results_that_are_not_there_is_older_than_any(tmp_path, result):
    verdict = tmp_path / "verdict"
    write_new(verdict)
    assert verdict.stat().st_mtime < result.stat().st_mtime
    before = verdict.stat().st_ctime_ns
    write_new(verdict)
    assert verdict.stat().st_ctime_ns == before
    write_current(verdict)
    assert verdict.read_text() == "current\n"


def test_the_verdict_of_a_stale_result_is_newer_than_it_and_new_in_its_text(tmp_path, result):
    texts = set()
    for _ in range(2):
        write_stale(tmp_path / "verdict", ["settings changed"], [result, tmp_path / "none"])
        assert result.stat().st_mtime < (tmp_path / "verdict").stat().st_mtime < 1e9 + 1
        texts.add((tmp_path / "verdict").read_text())
    assert len(texts) == 2


@pytest.mark.parametrize("kind", ["device", "pipe", "link"])
@pytest.mark.parametrize("is_current", [True, False])
def test_what_is_no_file_is_replaced(tmp_path, result, kind, is_current):
    """/dev/zero never ends, and a link would have its target's content and times changed."""
    verdict, before = tmp_path / "verdict", result.stat()
    match kind:
        case "device":
            verdict.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(verdict)
        case "link":
            verdict.symlink_to(result)
    if is_current:
        write_current(verdict)
    else:
        write_stale(verdict, ["code changed"], [result])
    assert verdict.read_text().startswith("current" if is_current else "code changed")
    assert not verdict.is_symlink()
    assert (result.read_text(), result.stat().st_mtime) == ("", before.st_mtime)
