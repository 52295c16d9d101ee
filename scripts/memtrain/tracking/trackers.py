"""Makes the trackers that the settings name, and says where the notes on them lie."""

from pathlib import Path

from memtrain.config.tracking import TrackingSettings
from memtrain.tracking.mlflow_server import MlflowServer
from memtrain.tracking.tensorboard_files import TensorBoardFiles
from memtrain.tracking.tracker import Tracker


def make_tracker(name: str, settings: TrackingSettings, folder: Path, dataset: str) -> Tracker:
    """Return a tracker.

    Args:
        name: "tensorboard" or "mlflow", which has to be on.
        settings: the section `tracking` of the configuration.
        folder: folder of what trackers were sent, ``results/<dataset>/tracking``.
        dataset: name of the dataset.
    """
    if name == "tensorboard" and settings.tensorboard is not None:
        return TensorBoardFiles(Path(settings.tensorboard.folder or folder / "tensorboard"))
    if name == "mlflow" and settings.mlflow is not None:
        return MlflowServer(settings.mlflow.uri, settings.mlflow.experiment or dataset)
    raise ValueError(f"the tracker {name} is not on")


def note_path(folder: Path, name: str, split: str) -> Path:
    """Return the file of what a tracker has been sent of the training of a split.

    Args:
        folder: folder of what trackers were sent, ``results/<dataset>/tracking``.
        name: name of the tracker.
        split: name of the split.
    """
    return folder / "sent" / name / f"{split}.json"
