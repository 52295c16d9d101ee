"""Runs configurations that were changed at random: each is refused, and told why, or it runs.

Snakemake reads each configuration (``-n``); where it is content, the programs run as the rules
would run them. A case is a number, which chooses the changes.
"""

import itertools
import json
import os
import random
import sys
from pathlib import Path

import yaml

from campaigns.campaign import Stream
from campaigns.checks import ended_badly, last_line
from campaigns.forked import Ended, import_what, run_forked
from campaigns.mutations import mutated
from campaigns.outcomes import (
    NOT_TOLD,
    RAN,
    REFUSED,
    REFUSED_LATE,
    SILENT,
    Outcome,
    Problem,
    worst,
)
from campaigns.programs import Chain, Program
from campaigns.sample_project import CONFIGURATION, REPOSITORY, write_project
from campaigns.workshop import Workshop
from memtrain.config.reading import configuration_text, parse_configuration
from memtrain.config.results import ResultsLayout
from memtrain.config.schema import Configuration
from memtrain.system.atomic_files import write_text

#: Programs that read all of the configuration: what they refuse, they refuse before any training.
_EARLY = ("generate_data", "import_data", "index_shards", "resolve_splits")

#: Most optimizer steps, splits and resamples that a case is allowed; more would only take long.
_MOST_STEPS, _MOST_SPLITS, _MOST_RESAMPLES = 2_000, 6, 1_000


class Configurations:
    """The campaign.

    Args:
        workshop: where the projects of its cases lie.
    """

    def __init__(self, workshop: Workshop):
        self._workshop = workshop

    def streams(self) -> list[Stream]:
        """Return numbers, which choose the changes."""
        folder = self._workshop.fresh_folder("case")
        write_project(folder)
        import_what(_dry_run, folder)
        return [Stream(map(str, itertools.count(1)))]

    def run(self, case: str) -> Outcome:
        """Run a case."""
        folder = self._workshop.fresh_folder("case")
        write_project(folder)
        chance = random.Random(f"{self._workshop.seed}/{case}")
        (folder / "config.yaml").write_bytes(mutated(CONFIGURATION, chance))
        content = (folder / "config.yaml").read_bytes()
        text = content[:5000].decode(errors="replace")
        planned = run_forked(_dry_run, folder)
        output = f"{text}\n--- snakemake -n:\n{planned.output}"
        if planned.status != 0:
            problems = ended_badly(planned) + _not_refused(planned, "rror")
            return worst(problems + _was_hit(folder), REFUSED, output)
        configuration = parse_configuration(yaml.safe_load(content))
        start = run_forked(lambda: _write_configuration(configuration), folder)
        if start.status != 0:
            return worst(ended_badly(start), REFUSED, f"{output}\n{start.output}")
        for program in Chain(configuration).programs():
            if _takes_long(folder, configuration):
                break
            ended = run_forked(program.command, folder)
            output += f"\n--- {program.name}:\n{ended.output}"
            if ended.status != 0:
                return self._refused(folder, program, ended, output)
        return worst(_was_hit(folder), RAN, output)

    def _refused(self, folder: Path, program: Program, ended: Ended, output: str) -> Outcome:
        problems = ended_badly(ended) + _not_refused(ended, "error: ") + _was_hit(folder)
        kind = REFUSED if program.name in _EARLY else REFUSED_LATE
        return worst(problems, kind, output)


def _dry_run() -> int:
    """Plan the jobs as ``snakemake -n`` does."""
    from snakemake.cli import main

    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    main(["--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "1", "-n", "--quiet", "rules"])
    return 0


def _write_configuration(configuration: Configuration) -> int:
    """Write the configuration as the workflow does when it starts."""
    path = ResultsLayout.of_dataset(configuration.dataset.name).configuration
    write_text(path, configuration_text(configuration))
    return 0


def _takes_long(folder: Path, configuration: Configuration) -> bool:
    """Return whether a valid configuration asks for more than a case should take."""
    if len(configuration.split_names) > _MOST_SPLITS:
        return True
    results = ResultsLayout.of_dataset(configuration.dataset.name)
    for path in (folder / results.splits).glob("*/split.json"):
        recipe = json.loads(path.read_text())
        if recipe["training"]["sizes"]["steps"] > _MOST_STEPS:
            return True
        if recipe["evaluation"]["settings"]["bootstrap"] > _MOST_RESAMPLES:
            return True
    return False


def _not_refused(ended: Ended, word: str) -> list[Problem]:
    """Return what is wrong with the words of a program that refuses a configuration."""
    if word in ended.output:
        return []
    return [Problem(NOT_TOLD, last_line(ended.output) or f"status {ended.status}, no word")]


def _was_hit(folder: Path) -> list[Problem]:
    """Return a problem where a value of the configuration was run as a program."""
    hits = list(folder.rglob("hit"))
    return [Problem(SILENT, "a value of the configuration was run as a program") for _ in hits]


def campaign(workshop: Workshop) -> Configurations:
    """Return the campaign."""
    return Configurations(workshop)
