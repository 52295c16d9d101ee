"""Withdrawals that are killed at any call that changes a file, and called again."""

import os
import shutil
import signal
import sys

import pytest

from memtrain.config.dataset import MockSettings
from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.mock_rows import write_mock_data
from memtrain.lineage.queries.withdraw import restore, state_gone, withdraw
from memtrain.lineage.queries.withdrawal_actions import WithdrawalName
from memtrain.lineage.records.record_store import RecordStore
from memtrain.recipes.withdrawals import read_withdrawals
from memtrain.recipes.withdrawn_rows import WithdrawnRows

pytestmark = pytest.mark.slow

#: What Python reports of calls that change files.
CHANGING = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.chmod", "os.utime")


class KillAt:
    """An audit hook that kills its process at the n-th call that changes a file."""

    def __init__(self, number):
        self._left = number

    def __call__(self, event, arguments):
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE
        if event in CHANGING or writes:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


def is_killed(act, number):
    """Run a function in a child that is killed at its n-th change; return whether it was."""
    if not (child := os.fork()):
        try:
            sys.addaudithook(KillAt(number))
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


class Project:
    """A dataset of made-up rows."""

    def __init__(self, folder):
        self.file, self.results = folder / "withdrawals.yaml", ResultsLayout(folder / "out")

    def write(self, seed):
        (self.file.parent / "out").mkdir(exist_ok=True)
        source = write_mock_data(self.results.data, MockSettings(rows=50, features=2, seed=seed))
        source.made_of({}, self.results.data).write(self.results.source)

    def withdraw(self):
        return withdraw(
            self.file, dataset="d", results=self.results, rows=Range(7, 9), reason="asked"
        )

    def restore(self):
        return restore(self.file, "d", self.results, WithdrawalName(Range(7, 9)))

    def state_gone(self):
        return state_gone(self.file, dataset="d", results=self.results, reason="erased")

    @property
    def listed(self):
        return read_withdrawals(self.file, "d")

    @property
    def records(self):
        """The jobs and states of all records, the oldest first."""
        store = RecordStore(self.results.records)
        found = [store.read(name) for name in store.names()]
        return [(one.job, one.state) for one in sorted(found, key=lambda one: one.started_at)]


@pytest.fixture
def project(imported, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Project(folder)


@pytest.fixture(autouse=True)
def imported(tmp_path, monkeypatch):
    """Import what is imported late, so that the children need not."""
    (tmp_path / "first").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    first = Project(tmp_path / "first")
    first.write(seed=0)
    first.withdraw()


def each_kill(project, act):
    """Kill a function at each of its changes, in a project as it was before; yield after each."""
    kept = project.file.parent.with_name("kept")
    shutil.copytree(project.file.parent, kept)
    number = 1
    while True:
        is_over = not is_killed(act, number)
        yield number
        if is_over:
            break
        for path in project.file.parent.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(kept, project.file.parent, dirs_exist_ok=True)
        number += 1
    assert number > 5


def test_a_killed_withdrawal_is_recorded_by_the_next_call_and_never_doubled(project):
    project.write(seed=0)
    for number in each_kill(project, project.withdraw):
        was_done, is_recorded = bool(project.listed), project.records[-1:] != []
        has_ended = is_recorded and project.records[-1][1] != "running"
        if was_done and has_ended:
            assert project.records == [("withdraw", "completed")]
            with pytest.raises(UserError, match="withdrawn already"):
                project.withdraw()
            continue
        added = project.withdraw()
        assert project.listed == [added]
        states = [state for _, state in project.records]
        assert states in (["completed"], ["stopped", "completed"]), number
        assert (states == ["completed"]) or not was_done
        found = WithdrawnRows(project.listed, project.file, project.results)
        assert found.find() == [Range(7, 9)]
        assert not list(project.file.parent.glob(".*.lock"))


def test_a_killed_restoration_is_recorded_by_the_next_call(project):
    project.write(seed=0)
    added = project.withdraw()
    for number in each_kill(project, project.restore):
        was_done = not project.listed
        if was_done and project.records[-1][1] != "running":
            assert project.records[-1] == ("restore", "completed")
            with pytest.raises(UserError, match="no withdrawal of d is called so"):
                project.restore()
        else:
            [restored] = project.restore()
            assert (restored.rows, restored.at) == (added.rows, added.at)
        assert project.listed == []
        assert project.records[-1] == ("restore", "completed"), number
        assert not any(state == "running" for _, state in project.records)
        assert not list((project.file.parent / "withdrawals.d").glob("*.npy"))


def test_a_killed_statement_that_rows_are_gone_is_recorded_by_the_next_call(project):
    project.write(seed=0)
    project.withdraw()
    project.write(seed=1)
    for _ in each_kill(project, project.state_gone):
        was_done = project.listed[0].gone is not None
        if was_done:
            with pytest.raises(UserError, match="nothing to record"):
                project.state_gone()
        else:
            project.state_gone()
        assert project.listed[0].gone.rows == 2
        states = [state for _, state in project.records[1:]]
        assert states in (["completed"], ["stopped", "completed"])
        assert states == ["completed"] or not was_done


def test_withdrawals_at_once_wait_for_each_other(project):
    project.write(seed=0)
    children = []
    for start in range(0, 40, 5):
        if not (child := os.fork()):
            rows = Range(start, start + 5)
            withdraw(project.file, dataset="d", results=project.results, rows=rows, reason="asked")
            os._exit(0)
        children.append(child)
    assert {os.waitpid(child, 0)[1] for child in children} == {0}
    assert [one.rows[0] for one in project.listed] == list(range(0, 40, 5))
    assert project.records == [("withdraw", "completed")] * 8
    assert not list(project.file.parent.glob(".*.lock"))
