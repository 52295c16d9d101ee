"""Tell Snakemake which results are current, by what they were made from.

The verdict on a result is an input of its rule: a file that is ancient where the result is current,
and new where it is not (see memtrain/workflow/verdict_files.py). What a rule reads is ancient too,
unless it is made again in this call: then the rule runs again with it.
"""

import atexit

from snakemake.exceptions import IncompleteCheckpointException

from memtrain.core.byte_sizes import format_bytes
from memtrain.recipes.acceptances import ACCEPTED_FILE, read_acceptances
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests
from memtrain.workflow.code_reader import CodeReader
from memtrain.workflow.forecast import forecast
from memtrain.workflow.judge import Judge
from memtrain.workflow.today import Today, rule_of_rows
from memtrain.workflow.verdicts import Verdicts

MAKES_ROWS = rule_of_rows(CONFIGURATION.dataset)

RULES_WITH_VERDICT = (
    MAKES_ROWS,
    *("index_shards", "resolve_splits", "train", "evaluate", "draw", "summarize"),
)

#: The rules whose results are judged when the recipes are there.
AFTER_RECIPES = {"train", "evaluate", "draw", "predict", "summarize"}

#: The splits whose models the model of a split comes from, the nearest first, by the split's name.
BASES = {split: CONFIGURATION.bases_of(split) for split in CONFIGURATION.split_names}
HAVE_BASES = any(BASES.values())

#: Snakemake puts the prefix of a module before the paths that input functions return.
RESULTS_WITHOUT_PREFIX = workflow.pathvars.apply("<results>")

#: A dry run is an answer to a question, so it does not read large files for long.
MOST_BYTES_OF_A_DRY_RUN = 1 << 30


@lru_cache
def today():
    """Return what results would be made from now."""
    limit = MOST_BYTES_OF_A_DRY_RUN if workflow.dryrun else None
    notes = FileNotes(RESULTS.known_digests)
    atexit.register(notes.save)
    withdrawals = Path(path_without_prefix(WITHDRAWALS_FILE))
    accepted = read_acceptances(
        path_without_prefix(ACCEPTED_FILE), CONFIGURATION.dataset.name
    )
    found = Today(
        CONFIGURATION,
        RESULTS,
        scripts=SCRIPTS,
        withdrawals=withdrawals,
        accepted=accepted,
        known=KnownDigests(notes, limit, tell_of_reading),
        reader=CodeReader(notes),
    )
    atexit.register(found.headers.save)
    return found


@lru_cache
def judge():
    """Return the judge of all results, whose answers hold until a job runs."""
    return Judge(today())


@lru_cache
def verdicts():
    """Return the verdicts on all results, after telling what is not current."""
    for line in forecast(today(), judge()):
        print(line, file=sys.stderr)
    return Verdicts(
        judge(),
        RESULTS,
        CONFIGURATION.split_names,
        EVALUATED,
        MAKES_ROWS,
        {name: one.split for name, one in CONFIGURATION.predictions.items()},
        is_forced,
    )


def tell_plan():
    """Say in words what this dry run would make; nothing where it was asked for a part of it."""
    asked = workflow.dag_settings
    parts = (asked.targets, asked.until, asked.omit_from, asked.target_jobs)
    is_part = asked.batch or set().union(*parts) - {"all"}
    if is_part or workflow.output_settings.quiet:
        return
    # Imported late: only a dry run that says it needs them.
    from memtrain.workflow.expected_seconds import ExpectedSeconds
    from memtrain.workflow.plan_text import plan_lines
    from memtrain.workflow.planned_work import planned_work

    work = planned_work(today(), judge(), verdicts())
    cores = workflow.cores if workflow.local_exec else None
    for line in plan_lines(work, ExpectedSeconds(today()), cores):
        print(line, file=sys.stderr)


def tell_of_reading(path, size_bytes):
    """Say that a large file is read, since that takes a while."""
    if size_bytes >= 1 << 28:
        print(
            f"reading {path} ({format_bytes(size_bytes)}): its times have changed",
            file=sys.stderr,
        )


def is_forced(rule, files):
    """Return whether the user asked for a rule or one of its files to be made again."""
    asked = set(map(str, workflow.dag_settings.forcerun))
    if workflow.dag_settings.forcetargets:
        asked |= set(map(str, workflow.dag_settings.targets))
    names = {own_rule_name(rule), *map(str, files)}
    return workflow.dag_settings.forceall or not asked.isdisjoint(names)


def judges():
    """Return whether this process decides which jobs run.

    Jobs and questions about the workflow (--summary, --report, --unlock) decide nothing.
    """
    return workflow.is_main_process and workflow.execution_settings is not None


def is_judged_by_recipes(rule):
    """Return whether the results of a rule are judged when the recipes are there."""
    return rule in AFTER_RECIPES


def await_recipes(rule):
    """Let the recipes be made before what is made with them is judged.

    Raises:
        IncompleteCheckpointException: if they are to be made first, as Snakemake wants it.
    """
    if is_judged_by_recipes(rule) and not recipes_stand():
        await_checkpoint("resolve_splits")


def stands(rule, split=None):
    """Return whether results are there and stay as they are in this call."""
    return judges() and not say_or_stop(lambda: verdicts().runs(rule, split))


@lru_cache
def recipes_stand():
    """Return whether the recipes stand, so that nobody has to wait for them.

    The rule is a checkpoint no more then. Snakemake would build the graph of all that reads the
    recipes twice. If it made them again, after a kill, they would be the same.
    """
    found = stands("resolve_splits")
    if found:
        workflow.get_rule(own_rule_name("resolve_splits")).is_checkpoint = False
    return found


def await_made(rule, split):
    """Let the recipes, and the models that a training starts from, be made before it is judged.

    The results of a rule that needs those of all splits are judged with None as the split.

    Raises:
        IncompleteCheckpointException: if something is to be made first, as Snakemake wants it.
    """
    await_recipes(rule)
    if is_judged_by_recipes(rule):
        splits = CONFIGURATION.split_names if split is None else [split]
        for base in dict.fromkeys(base for one in splits for base in BASES[one][::-1]):
            if not stands("train", base):
                await_checkpoint("offer_base", base)


def await_checkpoint(rule, split=None):
    """Raise the error by which Snakemake learns that a checkpoint is to be made first."""
    missing = missing_checkpoint(len(checkpoints.created_output), rule, split)
    if missing is not None:
        raise IncompleteCheckpointException(missing.rule, missing.targetfile)


@lru_cache(maxsize=1000)
def missing_checkpoint(known_outputs, name, split):
    """Return the error for a checkpoint that is to be made first; None where it is there.

    Snakemake looks at the recipes of all splits each time, and is asked for every split.

    Args:
        known_outputs: how many outputs of checkpoints Snakemake knows; the answer changes with it.
        name: the name of the checkpoint.
        split: its split; None for none.
    """
    try:
        getattr(checkpoints, name).get(**({} if split is None else {"split": split}))
    except IncompleteCheckpointException as error:
        return error
    return None


def verdict_on(rule):
    """Return an input function: the verdict on the results of a rule.

    Where its results are of a split, it is judged when the recipes are there.
    """

    @with_known_parameters
    def verdict(wildcards):
        split = wildcards.get("split")
        await_made(rule, split)
        path = RESULTS.verdict(rule, split)
        if judges():
            path = say_or_stop(lambda: verdicts().write(rule, split))
        return [path_without_prefix(str(path))] if path.exists() else []

    return verdict


def made_by(rule, *files):
    """Return an input function: files that a rule makes.

    They are ancient where the rule's results are current. Where the rule runs again, they are not,
    so that the rule below runs again with it.

    Args:
        rule: the name of the rule above, as its script is named.
        files: its files, below the folder of the results; with "{split}" for the split.
    """

    @with_known_parameters
    def paths(wildcards):
        split = wildcards.get("split")
        return made_files(rule, files, [split])

    return paths


@with_known_parameters
def initial_model(wildcards):
    """Return the model of the split that the training of a split starts from; nothing for none.

    What it says decides, not when it was written.
    """
    await_recipes("train")
    return [
        ancient(f"{RESULTS_WITHOUT_PREFIX}/splits/{base}/model.safetensors")
        for base in BASES[wildcards.split][:1]
    ]


def made_by_splits(rule, file, splits):
    """Return an input function: a file that a rule makes for each of some splits."""

    @with_known_parameters
    def paths(wildcards):
        return made_files(rule, [file], splits)

    return paths


def made_files(rule, files, splits):
    """Return files that a rule makes for some splits, ancient where they are current."""
    found = []
    for split in splits:
        await_made(rule, split)
        runs = judges() and say_or_stop(lambda: verdicts().runs(rule, split))
        for file in files:
            path = f"{RESULTS_WITHOUT_PREFIX}/{file.format(split=split)}"
            found.append(path if runs else ancient(path))
    return found


def verdict_on_group(wildcards):
    """Return the verdict on the part of the manifest of a group of files."""
    path = RESULTS.verdict("index_group", wildcards.group)
    if judges():
        path = say_or_stop(lambda: verdicts().write("index_group", wildcards.group))
    return [path_without_prefix(str(path))] if path.exists() else []


def parts_of_groups(wildcards):
    """Return the parts of the manifest of all groups of files, ancient where they are current.

    Raises:
        IncompleteCheckpointException: if the files are to be described first.
    """
    checkpoints.describe_files.get()
    found = []
    for name in say_or_stop(lambda: described_groups(RESULTS.data).groups):
        runs = judges() and say_or_stop(
            lambda name=name: verdicts().runs("index_group", name)
        )
        path = f"{RESULTS_WITHOUT_PREFIX}/manifest/{name}.json"
        found.append(path if runs else ancient(path))
    return found


def recipes_of_all(wildcards):
    """Return the recipes of all splits."""
    await_recipes("summarize")
    folder = f"{RESULTS_WITHOUT_PREFIX}/splits"
    return [
        ancient(f"{folder}/{split}/split.json") for split in CONFIGURATION.split_names
    ]
