"""The settings of evaluations.

They stand apart from the rest of the configuration, since recipes hold only these settings and
those of trainings.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from memtrain.config.types import FROM_TEXT, Name, Seed, Settings
from memtrain.core.wording import shown

_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

#: Names that metrics of one's own cannot have: those of the metrics that are always computed, and
#: of other columns of the summary.
TAKEN_NAMES = {
    *("accuracy", "average_precision", "auroc", "calibration_error", "cross_entropy", "f1"),
    *("bits_per_element", "perplexity"),
    *("loss", "mae", "mse", "r2", "rmse", "ratio_to_lowest_loss"),
    *("split", "group", "rows_trained", "rows_evaluated", "steps", "parameters", "batch_variance"),
    *("seconds", "rows_per_second", "peak_memory_mib", "requested_memory_mb", "used_memory_mb"),
    *("requested_minutes", "used_minutes"),
}


def _check_metric_name(name: str) -> str:
    if name in TAKEN_NAMES:
        raise ValueError(f"{name} is the name of another column of the summary; choose another")
    return name


def _check_import_path(path: str) -> str:
    if not _IMPORT_PATH.fullmatch(path):
        raise ValueError(f"found {shown(path)}; name a function, package.module:function")
    return path


class EvaluationSettings(Settings):
    """How models are evaluated."""

    bootstrap: Annotated[int, Field(ge=0, le=100_000), FROM_TEXT] = Field(
        default=100,
        description="Number of bootstrap resamples for every standard error; 0 for no standard "
        "errors.",
    )
    metrics: dict[
        Annotated[Name, AfterValidator(_check_metric_name)],
        Annotated[str, AfterValidator(_check_import_path)],
    ] = Field(
        default={},
        description="Metrics of your own by their names: functions, package.module:function, "
        "that get the predictions and the targets of all evaluation rows as arrays, and return a "
        "number.",
    )
    seed: Seed = Field(default=0, description="Seed of the resamples.")
