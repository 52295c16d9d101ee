"""A folder with finished projects, from which every case of a campaign starts."""

import importlib
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from campaigns.forked import Ended, import_what, run_forked
from campaigns.interposer import Calls, Fault, read_calls, write_plan
from campaigns.programs import FINISHED, STOPPED, UNWRITTEN, Chain, Program, all_programs
from campaigns.sample_project import CONFIGURATION, RESULTS, write_project
from campaigns.snakemake_runs import snakemake
from memtrain.config.reading import configuration_text, parse_configuration

#: Imported before the first program runs; the rest follows what the programs import.
_PACKAGES = ("torch", "torch._dynamo", "torchmetrics", "pyarrow.csv", "matplotlib.pyplot")


@dataclass
class Workshop:
    """A folder with finished projects, and with room for the projects of cases.

    Attributes:
        folder: the folder, which the caller removes.
        seed: the seed of the campaign.
    """

    folder: Path
    seed: int
    _calls: dict[str, Calls] = field(default_factory=dict)

    @cached_property
    def programs(self) -> dict[str, Program]:
        """The programs of the project by their names."""
        return all_programs(parse_configuration(CONFIGURATION))

    def prepare(self) -> None:
        """Make the finished project, so that the time of a campaign is that of its cases."""
        _ = self.finished

    @cached_property
    def finished(self) -> Path:
        """A project whose results the programs have made, one after the other.

        Making it, this process imports what the programs import.

        Raises:
            RuntimeError: if a program fails without any fault.
        """
        for package in _PACKAGES:
            importlib.import_module(package)
        folder = self.folder / "finished"
        write_project(folder)
        write_configuration(folder, CONFIGURATION)
        made_up, verify = self.programs["generate_data"], self.programs["verify"]
        # The last one is a question, since it makes the index of the records.
        for program in [made_up, *Chain(parse_configuration(CONFIGURATION)).programs(), verify]:
            _must_succeed(program.name, import_what(program.command, folder))
        return folder

    @cached_property
    def stopped(self) -> Path:
        """A finished project in which the training of a split was killed before its end."""
        train = self.programs["train-a"]
        renamed = [file for kind, file in self.calls(train).log if kind == "rename"]
        at = next(n for n, file in enumerate(renamed, 1) if file.endswith("/model.safetensors"))
        folder, plan = self.folder / "stopped", self.folder / "plan"
        shutil.copytree(self.before(train), folder)
        write_plan(plan, folder, Fault("kill-process", kinds=("rename",), at=at))
        run_forked(train.command, folder, plan=plan)
        for path in folder.rglob("*.part"):
            path.unlink()
        return folder

    @cached_property
    def run_by_snakemake(self) -> Path:
        """A project that Snakemake has run.

        Raises:
            RuntimeError: if Snakemake fails without any fault.
        """
        folder = self.folder / "run by snakemake"
        write_project(folder)
        done = snakemake(folder)
        if done.returncode:
            raise RuntimeError(f"the workflow fails without any fault:\n{done.stdout}")
        return folder

    def before(self, program: Program) -> Path:
        """Return a project as a program finds it."""
        if program.finds == FINISHED:
            return self.finished
        if program.finds == STOPPED:
            return self.stopped
        if program.finds != UNWRITTEN:
            return self.after(self.programs[program.finds])
        folder = self.folder / "before" / program.name
        if not folder.exists():
            shutil.copytree(self.finished, folder)
            for path in [path for pattern in program.writes for path in folder.glob(pattern)]:
                path.unlink()
        return folder

    def after(self, program: Program) -> Path:
        """Return a project in which a program has done its work, and all before it."""
        if program.finds in (UNWRITTEN, STOPPED):
            return self.finished
        folder = self.folder / "after" / program.name
        if not folder.exists():
            shutil.copytree(self.before(program), folder)
            ended = import_what(program.command, folder)
            if program.writes:
                _must_succeed(program.name, ended)
        return folder

    def fresh_folder(self, name: str) -> Path:
        """Return the path of a folder that is not there, below the folder of the workshop."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def copy(self, source: Path, name: str = "case") -> Path:
        """Return a fresh copy of a project, in place of the one of this name."""
        folder = self.fresh_folder(name)
        shutil.copytree(source, folder, symlinks=True)
        return folder

    def calls(self, program: Program) -> Calls:
        """Return the calls on files that a program makes when nothing hinders it."""
        if program.name not in self._calls:
            folder, plan = self.copy(self.before(program)), self.folder / "plan"
            write_plan(plan, folder, Fault())
            ended = run_forked(program.command, folder, plan=plan)
            if program.writes:
                _must_succeed(program.name, ended)
            self._calls[program.name] = read_calls(plan)
        return self._calls[program.name]


def write_configuration(folder: Path, content: dict) -> None:
    """Write the configuration of a project as Snakemake would, for the scripts that read it."""
    path = folder / RESULTS.configuration
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(configuration_text(parse_configuration(content)))


def _must_succeed(name: str, ended: Ended) -> None:
    if ended.status != 0:
        raise RuntimeError(f"{name} fails without any fault:\n{ended.output}")
