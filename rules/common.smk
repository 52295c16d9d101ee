"""What all rules share: the configuration, and where things lie."""

import os
import re
import shlex
import time
from functools import lru_cache
from pathlib import Path

from memtrain.config.parsing import settings_text
from memtrain.config.reading import configuration_text, parse_configuration
from memtrain.config.results import GROUPS_FILE, ROWS_FILE, ResultsLayout, data_file
from memtrain.data.tables.source_files import source_files
from memtrain.recipes.recipe_facts import facts_of_recipe
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE
from memtrain.system.atomic_files import write_text
from memtrain.system.file_content import text_of_file

CONFIGURATION = read_or_stop(parse_configuration, config)
MODULE = workflow.modifier

# Without rows to evaluate on, a split has a recipe, a model and a history, and nothing else.
EVALUATED = CONFIGURATION.evaluated_splits
NOT_EVALUATED = [split for split in CONFIGURATION.split_names if split not in EVALUATED]

# The rows: a file that holds them or, of rows in files, their description.
DATA = data_file(CONFIGURATION.dataset)

# Rows in files are indexed in parts, which other rules make.
PARTS_OF_MANIFEST = [] if CONFIGURATION.dataset.files else ["manifest"]

# Rows with groups have a file that says where each group starts.
IMPORT = CONFIGURATION.dataset.import_
GROUPS = [GROUPS_FILE] if IMPORT and IMPORT.group_column else []


pathvars:
    results=str(ResultsLayout.of_dataset(CONFIGURATION.dataset.name).root),


def folder_of_results():
    """Return the folder of the results, where Snakemake puts the outputs of the rules.

    A module may have a prefix, and may set `pathvars: results=...`.

    Raises:
        Mistake: if the module replaces the prefix of the results. Snakemake does so before
            it puts in the pathvars, so that the outputs would stay where they were.
    """
    folder = workflow.pathvars.apply(MODULE.modify_path("<results>"))
    expected = MODULE.modify_path(workflow.pathvars.get("results"))
    if folder != expected:
        raise Mistake(
            f"`replace_prefix` of a module cannot move the results of memtrain from {folder} to "
            f'{expected}. Use `prefix`, or set the folder: `pathvars: results="{expected}"`.'
        )
    return Path(folder)


RESULTS = ResultsLayout(folder_of_results())


def write_configuration():
    """Write the configuration as it was understood, for the scripts that need the whole of it."""
    path, text = RESULTS.configuration, configuration_text(CONFIGURATION)
    if text_of_file(path) != text:
        write_text(path, text)


def own_rule_name(script):
    """Return the name that the rule of a script has in this run; a module may rename its rules."""
    return MODULE.modify_rulename(script)


def any_of(names):
    """Return the regular expression that matches exactly these names."""
    return "|".join(map(re.escape, names))


def script(name):
    """Return the path of a script, from the working directory.

    Paths of code are resources, since Snakemake runs no job again when a resource changes: what the
    code says is judged by the verdicts, and it may lie anywhere.
    """
    return path_without_prefix(os.path.relpath(SCRIPTS / f"{name}.py"))


def path_without_prefix(path):
    """Return the path of an input that no rule makes, such that Snakemake leaves it as it is.

    Snakemake puts the prefix of a module before every relative path. Such a path becomes absolute.
    """
    has_prefix = MODULE.modify_path(path) != path
    return os.path.abspath(path) if has_prefix else path


def recipe_of(split):
    """Return the facts of a recipe; None before there is one, or where it is damaged."""
    try:
        return facts_of_recipe(RESULTS.split(split).recipe)
    except UserError:
        return None


def folder_of_splits(wildcards):
    """Return the folder that holds a folder for every split."""
    return str(RESULTS.splits)


@with_known_parameters
def initial_argument(wildcards):
    """Return the argument of train.py that names the model which a training starts from."""
    base = CONFIGURATION.base_of(wildcards.split)
    return f"--initial {shlex.quote(str(RESULTS.split(base).model))}" if base else ""


def imported_files():
    """Return the files that the setting `dataset.import.path` names."""
    return own_files(CONFIGURATION.dataset.import_.path)


def own_files(path):
    """Return the user's own files that a setting names.

    The verdict looks at their content. Files with times in the future are left out, since Snakemake
    fails jobs whose outputs are older than their inputs.
    """
    paths = read_or_stop(source_files, path)
    past = [path for path in paths if path.stat().st_mtime <= time.time()]
    return [ancient(path_without_prefix(str(path))) for path in past]
