"""What starts the scripts that import most: Python, or a server that forks them."""

from snakemake.settings.types import DeploymentMethod

from memtrain.workflow.launching import comes_from_server

#: MB of rows that are predicted in a second at least.
MB_PREDICTED_PER_SECOND = 1


def launcher(seconds, is_cpu_only=False):
    """Return a resource function: the program that runs the script of a job.

    Args:
        seconds: function of the workload of a split: the seconds that the job takes.
        is_cpu_only: whether the script computes on the CPU, whatever the settings of the split are.
    """

    @with_known_parameters
    def program(wildcards, attempt):
        is_forked = comes_from_server(
            CONFIGURATION.running.fork_server,
            jobs=jobs_of_this_process(len(CONFIGURATION.split_names)),
            seconds=expected_seconds(seconds, wildcards),
            attempt=attempt,
        )
        if not is_forked:
            return "python"
        return forking_program(is_cpu_only or leaves_gpus_alone(wildcards.split))

    return program


@with_known_parameters
def launcher_of_predicting(wildcards, input, attempt):
    """Return the program that runs the script of predictions."""
    is_forked = comes_from_server(
        CONFIGURATION.running.fork_server,
        jobs=jobs_of_this_process(len(CONFIGURATION.predictions)),
        seconds=0 if has_groups() else megabytes(input) / MB_PREDICTED_PER_SECOND,
        attempt=attempt,
    )
    if not is_forked:
        return "python"
    return forking_program(leaves_gpus_alone(predicting_split(wildcards)))


def expected_seconds(seconds, wildcards):
    """Return the seconds that a job takes; None if they are not known.

    Jobs that share a group have to be started alike, and count as short.
    """
    if has_groups():
        return 0
    recipe = recipe_of(wildcards.split)
    return seconds(recipe.workload) if recipe and recipe.workload else None


def has_groups():
    """Return whether jobs may share a group. A job of a cluster knows its own alone."""
    return not workflow.is_main_process or workflow.group_settings.overwrite_groups


def jobs_of_this_process(configured):
    """Return how many jobs of a kind this process may start; 0 where no server can serve them.

    Every job in a container is alone there. On a cluster, each job has a process like this one,
    which starts those that share the job.

    Args:
        configured: how many the configuration has.
    """
    if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
        return 0
    if not workflow.is_main_process:
        return len(workflow.dag_settings.target_jobs)
    return configured if workflow.local_exec else 0


def forking_program(is_cpu_only):
    """Return the program that has the script of a job run by a fork server.

    Args:
        is_cpu_only: whether the script computes on the CPU.
    """
    tell_of_server()
    return launching_program(is_cpu_only)


@lru_cache
def launching_program(is_cpu_only):
    """Return the program that asks the server to run a script, quoted for the shell."""
    # What the program does without, so that it starts at once: variables of Python, and packages.
    words = ["python", "-ESs", script("launch")]
    return shlex.join([*words, *(["--cpu-only"] if is_cpu_only else [])])


def leaves_gpus_alone(split):
    """Return whether the job of a split uses the CPU; of jobs in groups, whether all do."""
    return all_splits_use_the_cpu() if has_groups() else device_of(split) == "cpu"


def device_of(split):
    """Return the setting that says on which device a split is trained."""
    return CONFIGURATION.training_settings(split).device


@lru_cache
def all_splits_use_the_cpu():
    """Return whether the settings of all splits name the CPU."""
    return {device_of(split) for split in CONFIGURATION.split_names} == {"cpu"}


@lru_cache
def tell_of_server():
    """Say once that jobs come from a server."""
    if workflow.is_main_process:
        print(
            "Short trainings, evaluations, drawings and predictions are forked from a process that "
            "has imported PyTorch already (`running: fork_server: never` turns this off).",
            file=sys.stderr,
        )
