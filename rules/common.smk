"""Helper functions of the rules: which code a rule runs, what it asks for, when it runs again."""

import os
import re
import sys
from functools import lru_cache, partial
from pathlib import Path

from snakemake.exceptions import WorkflowError

SCRIPTS = Path(workflow.basedir) / "scripts"
sys.path.insert(0, str(SCRIPTS))

from memtrain.workflow import job_resources as asked

from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_text
from memtrain.workflow.result_code import own_code, result_code
from memtrain.config.reading import configuration_text, parse_configuration
from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.cli.environment_check import WORKFLOW_PYTHON
from memtrain.workflow.preempted_jobs import PreemptedJobs
from memtrain.data.tables.source_files import source_files
from memtrain.recipes.recipe_facts import read_recipe_facts
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE

# Tells the scripts which Python to expect: one that finds itself under another says so.
os.environ.update({WORKFLOW_PYTHON: sys.executable})


def or_stop(read, *arguments):
    """Return what a function reads, or stop the workflow with everything that it finds wrong."""
    try:
        return read(*arguments)
    except UserError as error:
        problems = "\n".join(f"  - {problem}" for problem in error.problems)
        raise WorkflowError(f"The configuration has mistakes:\n{problems}") from None


CONFIGURATION = or_stop(parse_configuration, config)
RESULTS = ResultsLayout.of_dataset(CONFIGURATION.dataset.name)
CONFIGURATION_FILE = RESULTS.configuration
RECORDS = RESULTS.records


def write_configuration():
    """Write the configuration as it was understood, for the scripts that need the whole of it."""
    text = configuration_text(CONFIGURATION)
    if not CONFIGURATION_FILE.exists() or CONFIGURATION_FILE.read_text() != text:
        write_text(CONFIGURATION_FILE, text)


def watch_over_preempted_jobs():
    """Put jobs back that a scheduler has preempted, where they are submitted to one that can."""
    if not workflow.local_exec and PreemptedJobs.can_be_put_back():
        PreemptedJobs(Path.cwd()).start()


def withdrawals_if_any():
    """Return the file of withdrawn rows, where there is one."""
    return [WITHDRAWALS_FILE] if Path(WITHDRAWALS_FILE).exists() else []


def folder_of_splits(wildcards):
    """Return the folder that holds a folder for every split."""
    return str(RESULTS.splits)


def folder_of_benchmarks(wildcards):
    """Return the folder that holds a folder of benchmarks for every rule."""
    return str(RESULTS.benchmarks)


def any_of(names):
    """Return the regular expression of exactly these names."""
    return "|".join(map(re.escape, names))


@lru_cache
def code_of(script):
    """Return the files that the results of a script depend on, the script first."""
    return relative(result_code(SCRIPTS / f"{script}.py"))


def code_of_split(script):
    """Return an input function: those files, and the user's own modules that a split names."""

    def files(wildcards):
        return code_of(script) + own_modules(wildcards.split)

    return files


@lru_cache
def own_modules(split):
    """Return the user's own modules that the settings of a split name."""
    return relative(own_code(CONFIGURATION.training_settings(split), Path.cwd()))


def relative(files):
    """Return paths relative to the working directory, so that both can be moved together."""
    return [os.path.relpath(file.path) for file in files]


def recipe_digest(part):
    """Return a parameter function: the digest of the training or the evaluation of a split.

    Rules below the checkpoint take data and recipes as ancient files: age never trains again.
    Content does, by this digest. Snakemake asks for it anew once the checkpoint has run, of every
    rule that has a file of the checkpoint's among its inputs.
    """

    def digest(wildcards):
        recipe = recipe_of(wildcards.split)
        return recipe.digests[part] if recipe else "unknown"

    return digest


def recipe_of(split):
    """Return what there is to know of a recipe; None before there is one."""
    path = RESULTS.split(split).recipe
    return facts_of_file(path, path.stat().st_mtime_ns) if path.exists() else None


@lru_cache(maxsize=None)
def facts_of_file(path, modified_ns):
    """Return the facts of a recipe; read again only when the file was written again."""
    return read_recipe_facts(path)


def settings_digest(*sections):
    """Return the digest of sections of the configuration, defaults included."""
    content = CONFIGURATION.model_dump(mode="json", by_alias=True)
    return canonical_json.digest({section: content[section] for section in sections})


def memory(base_mb, of_input=0.0):
    """Return a resource function: MB, for so many MB and a share of those of the data file."""

    def mem_mb(wildcards, input, attempt):
        return asked.memory_mb(base_mb + of_input * megabytes(input), attempt)

    return mem_mb


def minutes(mb_per_second):
    """Return a resource function: minutes for the data file at a rate."""

    def runtime(wildcards, input, attempt):
        return asked.minutes(megabytes(input) / mb_per_second, attempt)

    return runtime


def megabytes(files):
    """Return the size of the data files among a rule's inputs, in MB; 0 before they are there."""
    data = files.get("data", [])
    paths = [data] if isinstance(data, str) else data
    return sum(os.path.getsize(path) for path in paths if os.path.isfile(path)) / 1e6


def minutes_of_writing(wildcards, attempt):
    """Return the minutes that the mock rows take, at a rate that any disk has."""
    mock = CONFIGURATION.dataset.mock
    return asked.minutes(mock.rows * (mock.features + 2) * 4 / 50e6, attempt)


def threads_of_training(wildcards):
    """Return the threads that the recipe of a split names."""
    return CONFIGURATION.training_settings(wildcards.split).threads


def by_recipe(resource, before):
    """Return a resource function: what a recipe says that is needed; ``before`` there is one."""

    def needed(wildcards, attempt):
        recipe = recipe_of(wildcards.split)
        return (
            resource(recipe.workload, attempt) if recipe and recipe.workload else before
        )

    return needed


def memory_of_training(wildcards, attempt):
    """Return the MB of a training on one machine, by its recipe, for all processes there."""
    asked_of_all = partial(asked.memory_of_training, processes=processes_together())
    return by_recipe(asked_of_all, before=1000)(wildcards, attempt)


def processes_together():
    """Return how many processes torchrun starts on a machine, by the profile; 0 without."""
    of_profile = workflow.resource_settings.overwrite_resources.get("train", {})
    return (
        of_profile["processes_per_node"].value
        if "processes_per_node" in of_profile
        else 0
    )


def minutes_of_training(wildcards, attempt):
    """Return the minutes of a training, by its recipe.

    In a job of a cluster they are a limit: a training that takes longer saves its state, leaves and
    goes on in the next one, if there are retries. Here it may take as long as it takes: 0.
    """
    if workflow.is_main_process and workflow.local_exec:
        return 0
    return by_recipe(asked.minutes_of_training, before=10)(wildcards, attempt)


def state_of_training(wildcards):
    """Return the folder of a training's checkpoints: no output, since those of a job that failed
    are removed.
    """
    return str(RESULTS.state(wildcards.split))


def settings_text(settings):
    """Return settings as one line of JSON: a parameter, and an argument of a script."""
    return canonical_json.dumps(settings.model_dump(mode="json"))


def imported_files():
    """Return the files that the setting `dataset.import.path` stands for, seen from here."""
    return [
        str(file) for file in or_stop(source_files, CONFIGURATION.dataset.import_.path)
    ]


def own_modules_of_all():
    """Return the user's own modules that any split names."""
    names = CONFIGURATION.split_names
    return sorted({file for split in names for file in own_modules(split)})
