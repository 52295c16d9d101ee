"""What jobs request: memory in MB and time in minutes, by the work that they do; and threads."""

from memtrain.data.rows_of_files import size_of_rows
from memtrain.workflow import job_resources as requested
from memtrain.workflow.described_groups import described_groups


def memory(base_mb):
    """Return a resource function: memory for a job that needs the same whatever its rows are."""

    @with_known_parameters
    def mem_mb(wildcards, attempt):
        return requested.memory_mb(base_mb, attempt)

    return mem_mb


def minutes(mb_per_second):
    """Return a resource function: minutes for a job that reads the data at this rate."""

    @with_known_parameters
    def runtime(wildcards, input, attempt):
        return requested.minutes(megabytes(input) / mb_per_second, attempt)

    return runtime


def megabytes(files):
    """Return the size of the data files among the inputs of a rule, in MB; 0 for missing ones.

    Rows in files count as the files that they lie in.
    """
    data = files.get("data", [])
    paths = [data] if isinstance(data, str) else data
    return sum(map(size_of_rows, filter(os.path.isfile, paths))) / 1e6


def minutes_of_describing(wildcards, attempt):
    """Return the minutes to describe rows in files, which are read only for their delimiters."""
    return requested.minutes(600, attempt)


def minutes_of_group(wildcards, attempt):
    """Return the minutes to index a group of files."""
    size_bytes = described_groups(RESULTS.data).bytes_of(wildcards.group)
    return requested.minutes(size_bytes / 200e6, attempt)


def minutes_of_writing(wildcards, attempt):
    """Return the minutes to write the mock rows, at a rate that any disk has."""
    mock = CONFIGURATION.dataset.mock
    return requested.minutes(mock.rows * (mock.features + 2) * 4 / 50e6, attempt)


@with_known_parameters
def threads_of_training(wildcards):
    """Return the threads that the settings of a split name."""
    return CONFIGURATION.training_settings(wildcards.split).threads


def by_recipe(resource, before):
    """Return a resource function: what the workload of a recipe needs.

    Args:
        resource: a function of the workload and the attempt.
        before: the value before there is a recipe.
    """

    @with_known_parameters
    def needed(wildcards, attempt):
        recipe = recipe_of(wildcards.split)
        has_workload = recipe and recipe.workload
        return resource(recipe.workload, attempt) if has_workload else before

    return needed


def memory_of_training(workload, attempt):
    """Return the MB of a training on one machine, for all processes there."""
    return requested.memory_of_training(workload, attempt, processes_together())


@lru_cache
def processes_together():
    """Return how many processes the profile has torchrun start on a machine; 0 without torchrun."""
    resources = workflow.resource_settings.overwrite_resources
    count = resources.get(own_rule_name("train"), {}).get("processes_per_node")
    return count.value if count else 0


@with_known_parameters
def minutes_of_training(wildcards, attempt):
    """Return the minutes of a training.

    In a job of a cluster they are a limit: a training that takes longer saves its state, leaves,
    and goes on in the next try, if there are retries. Elsewhere there is no limit: 0.
    """
    if workflow.is_main_process and workflow.local_exec:
        return 0
    return limit_of_training(wildcards, attempt)


limit_of_training = by_recipe(requested.minutes_of_training, before=10)
