"""The settings of trackers: programs that show trainings while they run, TensorBoard and MLflow.

Trackers mirror what the results say. No result depends on them, so that this file is no part of the
digest of any code.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from memtrain.config.results import TRACKERS
from memtrain.config.types import FilePath, Settings


def _check_uri(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ValueError(f"this is no address ({error})") from None
    if parts.password is not None or (parts.scheme.startswith("http") and parts.username):
        raise ValueError(
            "an address with a password would be written to the records of the lineage; set "
            "the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in its place"
        )
    return uri


class TensorBoardSettings(Settings):
    """The event files of TensorBoard."""

    folder: FilePath | None = Field(
        default=None,
        description="Folder of the event files, with a folder for every training; null: "
        "`results/<dataset>/tracking/tensorboard`.",
    )


class MlflowSettings(Settings):
    """The server of MLflow."""

    uri: Annotated[str, Field(min_length=1), AfterValidator(_check_uri)] = Field(
        description="Address of the server, like `http://localhost:5000`, or what else MLflow "
        "takes as a tracking URI. User and password come from the variables "
        "`MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.",
    )
    experiment: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Name of the experiment that gets a run for every training; null: the name of "
        "the dataset. It is made if there is none.",
    )


class TrackingSettings(Settings):
    """Which trackers mirror the trainings."""

    tensorboard: TensorBoardSettings | None = Field(
        default=None,
        description="Event files for TensorBoard (`tensorboard: {}`); null: none. Needs the "
        "package tensorboard.",
    )
    mlflow: MlflowSettings | None = Field(
        default=None,
        description="A server of MLflow (`mlflow: {uri: http://localhost:5000}`); null: none. "
        "Needs the package mlflow-skinny or mlflow.",
    )

    @property
    def names(self) -> list[str]:
        """The names of the trackers that are on: "tensorboard", "mlflow"."""
        return [name for name in TRACKERS if getattr(self, name) is not None]
