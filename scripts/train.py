"""Train the model of one split: rows in, weights and history out.

Every optimizer step is made from one accumulation window: the gradient of its micro-batches, added
up, is the gradient of all its rows as one batch. Unless the recipe says `reduction: fast`, the
weights and the history depend only on the recipe, the code and the kind of device: not on how many
processes train (torchrun starts several), nor on whether the training was stopped and resumed. What
depends on the machine is written to a file of its own.

With --state, the state of the training is saved in that folder now and then. If the training is
killed, run it again, and it goes on from the last saved state. Once the model is written, the
folder is removed. On SIGTERM, on SIGUSR1, on Ctrl-C and shortly before the end of --max-minutes,
the training finishes its current step, saves its state, and leaves. A second Ctrl-C ends it at
once. While a training runs, a second one with the same folder is refused.

With --loading '{stage: always}', the rows are first copied to the disk of the node, to a file in
$SLURM_TMPDIR, $TMPDIR or /tmp; with auto, only if the copy pays. The last training that uses the
copy removes it. The copy of a training that was killed is removed by the next training on the node.
"""

import argparse
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, is_main_rank, run
from memtrain.cli.number_arguments import number_of
from memtrain.cli.settings_arguments import (
    add_loading_arguments,
    add_running_arguments,
    add_tracking_arguments,
    loading_settings,
    running_settings,
    tracking_settings,
)
from memtrain.components.device import choose_device, gpu_memory_errors
from memtrain.components.initial_weights import initial_path
from memtrain.components.watched_reads import watched_reads
from memtrain.config.results import HOOKS_FOLDER, VALIDATION_FILE, SplitLayout
from memtrain.data.made_from import versions_of_packages
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import Recorder, recording
from memtrain.lineage.records.row_pieces import pieces_of_recipe
from memtrain.lineage.records.run_record import DECLARED_FILE, INITIAL_MODEL, VALIDATION_ROWS
from memtrain.recipes.declared_files import check_files
from memtrain.recipes.integrity import check_pieces
from memtrain.recipes.model_file import Base, bases_of_training
from memtrain.recipes.recipe import Recipe
from memtrain.training.checkpoint import CheckpointFolder, fingerprint_of
from memtrain.training.distributed.process_group import count_nodes, joined_process_group
from memtrain.training.lock import training_lock
from memtrain.training.run_context import RunContext
from memtrain.training.staging import StagedRows, staged
from memtrain.training.stopping import STOPPED, StopRequests, TrainingStopped
from memtrain.training.trainer import Trainer
from memtrain.workflow.result_code import own_code, own_modules, result_code_digest

_log = logging.getLogger("memtrain.train")

_MEMORY_REMEDY = (
    "Use a smaller training.batch_size with more accumulation_steps, a GPU with more memory, or "
    "`device: cpu`."
)

EPILOG = f"""\
exit status {STOPPED}: stopped on request; with --state, run it again to go on."""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__, EPILOG)
    parser.add_argument("--data", required=True, help="the record file")
    parser.add_argument("--split", required=True, help="the recipe, from resolve_splits")
    parser.add_argument("--model", required=True, help="the weights to write, .safetensors")
    parser.add_argument(
        "--history", required=True, help="the history to write, a line for every step, .csv"
    )
    parser.add_argument(
        "--validation",
        help="the validations to write, a line for each, .csv (default: validation.csv beside the "
        "history)",
    )
    parser.add_argument(
        "--performance", required=True, help="the seconds, rows/s and memory to write, .json"
    )
    parser.add_argument(
        "--initial",
        help="the model that the training starts from, where the recipe names a split; from train",
    )
    parser.add_argument("--state", help="folder for checkpoints, to go on from after a stop")
    parser.add_argument(
        "--max-minutes",
        type=number_of("minutes"),
        default=0,
        help="minutes that this job may take; shortly before they are over (by 5 %% of them, but "
        "at least one minute), the state is saved and the program leaves. 0 (the default) for no "
        "limit",
    )
    add_running_arguments(parser)
    add_loading_arguments(parser)
    add_tracking_arguments(parser)
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Train one split."""
    args = parse_arguments(argv)
    try:
        with recording(__file__, args, Path(args.split).parent.name) as record:
            recipe = Recipe.read(args.split)
            # Before anything of it runs: the model says which code made it, whatever comes later.
            code = digest_of_code(recipe)
            bases = bases_of(args, recipe)
            if is_main_rank():
                check_files(recipe.training, list(recipe.training.files))
                record_inputs(args, recipe, record, bases)
            checkpoints = checkpoints_of(args, recipe, code, bases)
            folder = checkpoints.folder if checkpoints and is_main_rank() else None
            lock = training_lock(folder, recipe.digest("training"))
            with StopRequests(args.max_minutes or None) as stop, lock:
                with staged_rows(args, recipe, checkpoints, stop) as rows:
                    if is_main_rank() and not rows.is_copy:
                        check_rows(args, recipe, record)
                    with trackers(args, recipe, code, record):
                        train(args, recipe, rows, checkpoints, stop, record, code, bases)
    except TrainingStopped as stopped:
        _log.info(stopped)
        return STOPPED
    return 0


def bases_of(args: argparse.Namespace, recipe: Recipe) -> list[Base]:
    """Return the models that the training comes from, the one that it starts from first."""
    initial = recipe.training.settings.initial
    if initial is None or initial.split is None:
        return []
    path = initial_path(initial, Path(args.initial) if args.initial else None)
    return bases_of_training(path, initial.split)


def record_inputs(
    args: argparse.Namespace, recipe: Recipe, record: Recorder, bases: Sequence[Base]
) -> None:
    """Record what the training reads."""
    rows = recipe.training.rows
    record.reaches(own_code(recipe.training.settings, Path.cwd()))
    record.set(
        recipe=recipe.digest("training"),
        training=recipe.training.settings.model_dump(mode="json"),
        seed=recipe.training.settings.seed,
    )
    record.reads_rows(args.data, {"": rows.resolved}, pieces_of_recipe(rows, recipe))
    if validation := recipe.training.validation:
        pieces = pieces_of_recipe(validation, recipe)
        record.reads_rows(args.data, {"": validation.resolved}, pieces, role=VALIDATION_ROWS)
    record.reads(args.split, "recipe")
    for base in bases[:1]:
        record.reads(args.initial, INITIAL_MODEL, base.model)
    for path, digest in recipe.training.files.items():
        record.reads(path, DECLARED_FILE, digest)


def staged_rows(
    args: argparse.Namespace,
    recipe: Recipe,
    checkpoints: CheckpointFolder | None,
    stop: StopRequests,
) -> AbstractContextManager[StagedRows]:
    """Return a context in which the rows lie where the training reads them."""
    stage = loading_settings(args).stage
    steps_done = checkpoints.noted_step() if checkpoints else 0
    return staged(args.data, recipe, stage, count_nodes(), stop, steps_done)


def check_rows(args: argparse.Namespace, recipe: Recipe, record: Recorder) -> None:
    """Refuse rows of the data file whose bytes are not those that were indexed.

    A copy of the rows needs no check, because they are compared while they are copied.
    """
    how = record.settings.verify_shards
    check_pieces(args.data, recipe.training.pieces, how, recipe.grid)


def train(
    args: argparse.Namespace,
    recipe: Recipe,
    rows: StagedRows,
    checkpoints: CheckpointFolder | None,
    stop: StopRequests,
    record: Recorder,
    code: str,
    bases: Sequence[Base],
) -> None:
    """Train, and write the results."""
    device = choose_device(recipe.training.settings.device)
    with joined_process_group(device) as group:
        context = RunContext(
            device=device,
            group=group,
            loading=loading_settings(args),
            running=running_settings(args),
            checkpoints=checkpoints,
            stop=stop,
            initial=Path(args.initial) if bases else None,
            hooks_folder=Path(args.model).with_name(HOOKS_FOLDER),
            is_followed=bool(tracking_settings(args).names),
        )
        settings = recipe.training.settings
        watch = watched_reads("training", settings.files, settings.imports_of_parts)
        with gpu_memory_errors(_MEMORY_REMEDY), watch:
            result = Trainer(recipe, rows.data, context).run()
        if not group.is_main:
            return
        args.validation = validation_file(args)
        result.write(
            model=args.model,
            history=args.history,
            performance=args.performance,
            validation=args.validation,
            code=code,
            bases=bases,
        )
        warn_of_other_code(args, recipe, code)
        for role in ("model", "history", "validation", "performance"):
            record.wrote(getattr(args, role), role)
        performance = result.performance
        record.tell(
            "training",
            order_digest=result.order_digest,
            steps=len(result.history),
            kept_step=result.kept_step,
            runs=performance.runs,
            processes=performance.processes,
            device=performance.device,
        )
        if checkpoints:
            checkpoints.remove()
        print(f"{performance.seconds:.1f} seconds, {performance.rows_per_second:,.0f} rows/s")


def trackers(
    args: argparse.Namespace, recipe: Recipe, code: str, record: Recorder
) -> AbstractContextManager[None]:
    """Return a context in which trackers mirror the training, where there are any."""
    settings = tracking_settings(args)
    if not (settings.names and is_main_rank()):
        return nullcontext()
    # Imported here: most trainings have no tracker.
    from memtrain.tracking.followers import followed
    from memtrain.tracking.tracked_training import Identity, TrackedTraining, TrainingFiles

    device = choose_device(recipe.training.settings.device).type
    torch = versions_of_packages()["torch"]
    files = TrainingFiles(
        recipe=Path(args.split),
        model=Path(args.model),
        history=Path(args.history),
        validation=validation_file(args),
        performance=Path(args.performance),
        evaluation=SplitLayout(Path(args.split).parent).evaluation,
        state=Path(args.state),
    )
    identity = Identity(recipe.digest("training"), code, torch, device)
    folder = Path(args.tracking_folder)
    dataset = folder.absolute().parent.name
    training = TrackedTraining(recipe.split, dataset, identity, files, record.keep_so_far())
    return followed(settings, folder, training)


def validation_file(args: argparse.Namespace) -> Path:
    """Return the file of the validations."""
    return Path(args.validation or Path(args.history).with_name(VALIDATION_FILE))


def digest_of_code(recipe: Recipe) -> str:
    """Return the digest of the code that trains, as it lies on the disk now."""
    return result_code_digest(Path(__file__), own_modules(recipe.training.settings), Path.cwd())


def warn_of_other_code(args: argparse.Namespace, recipe: Recipe, code: str) -> None:
    """Warn if the code has changed since the training began."""
    if digest_of_code(recipe) != code:
        _log.warning(
            f"the code has changed while {recipe.split} was trained. {args.model} was made by the "
            "code as it was when the training began, and says so. It is kept: the next call of "
            "snakemake trains again, or goes on with this model if the change is taken back."
        )


def checkpoints_of(
    args: argparse.Namespace, recipe: Recipe, code: str, bases: Sequence[Base]
) -> CheckpointFolder | None:
    """Return the checkpoints of this training; None without --state."""
    if args.state is None:
        return None
    device = choose_device(recipe.training.settings.device)
    initial = bases[0].model if bases else None
    fingerprint = fingerprint_of(recipe.digest("training"), code, device, initial)
    return CheckpointFolder(args.state, fingerprint)


if __name__ == "__main__":
    run(main)
