"""The public names of memtrain, for programs of your own."""

from memtrain.config.training import ShuffleSettings
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.data.files_layout import FilesLayout
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.rows_in_files import rows_in_files
from memtrain.inference.loading import load_model
from memtrain.loading.block_loader import BlockLoader
from memtrain.training.training_view import TrainingView

__all__ = [
    "BlockLoader",
    "FilesLayout",
    "MemmapDataset",
    "Range",
    "ShuffleSettings",
    "TrainingView",
    "UserError",
    "load_model",
    "rows_in_files",
]
