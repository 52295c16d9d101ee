"""Find the programs, and check the configuration files before Snakemake reads them."""

import atexit
import gc
import inspect
import os
import sys
from pathlib import Path

from snakemake.exceptions import CliException

# The objects of a graph live as long as Snakemake does. To look through them again and again for
# garbage takes a fifth of a dry run, and to do so when it ends takes a quarter.
gc.set_threshold(100_000, 50, 100)
atexit.register(gc.freeze)

#: The mistakes that were told from input functions.
MISTAKES = []


class Mistake(CliException):
    """A mistake of the user's, of which Snakemake prints the sentence alone.

    Below other errors it prints the lines of the rules that they passed, by their traceback.
    """

    __traceback__ = None


# Not workflow.basedir: in a module this is the folder of the Snakefile that uses it.
PROJECT = Path(str(workflow.current_basedir)).parent
if not PROJECT.is_dir():
    raise Mistake(
        f"{workflow.current_basedir}: memtrain does not run from an address, since its rules call "
        "the programs in scripts/. Clone the repository, and name the clone's Snakefile: "
        '`snakefile: "path/to/memtrain/Snakefile"`.'
    )
SCRIPTS = PROJECT / "scripts"
sys.path.insert(0, str(SCRIPTS))

from memtrain.cli.environment_check import WORKFLOW_PYTHON
from memtrain.core.errors import UserError
from memtrain.system.yaml_text import read_yaml

# In the environment, since a script looks for it before it can read its arguments.
os.environ.update({WORKFLOW_PYTHON: sys.executable})


def read_or_stop(read, *arguments):
    """Return what a function reads; stop the workflow where it finds mistakes, and list them."""
    try:
        return read(*arguments)
    except UserError as error:
        problems = "\n".join(f"  - {problem}" for problem in error.problems)
        raise Mistake(f"The configuration has mistakes:\n{problems}") from None


def say_or_stop(find, *arguments):
    """Return what a function finds in files; stop the workflow where it finds mistakes.

    Unlike a mistake in the configuration, this one may be found while an input function runs.
    Snakemake tells what these raise with the lines of the rules, and `sentence_alone` shortens it.
    """
    try:
        return find(*arguments)
    except UserError as error:
        MISTAKES.append("\n".join(error.problems))
        raise Mistake(MISTAKES[-1]) from None


def with_known_parameters(function):
    """Note the parameters of a function that Snakemake calls for every job.

    Snakemake finds them out anew before each call, which takes longer than most of the calls.
    """
    function.__signature__ = inspect.signature(function)
    return function


def configuration_files():
    """Return the files from which Snakemake takes the configuration."""
    if workflow.overwrite_configfiles:
        return workflow.overwrite_configfiles
    is_given = workflow.modifier.skip_configfile or not os.path.exists("config.yaml")
    return [] if is_given else ["config.yaml"]


# Snakemake takes the last of two equal keys, turns dates into no text, and expands every alias.
for path in configuration_files():
    read_or_stop(read_yaml, path)
