"""``rows_in_files``: describes rows where they lie, for programs without a workflow."""

from typing import Any

from memtrain.config.files import FilesSettings
from memtrain.data.files_description import describe_files
from memtrain.data.files_layout import FilesLayout


def rows_in_files(**settings: Any) -> FilesLayout:
    """Describe rows that lie in files, for ``MemmapDataset`` and ``BlockLoader``.

    The keywords are those of a configuration::

        layout = rows_in_files(
            path="corpus/*.bin", dtype="uint16", windows={"length": 1024, "target": "next"}
        )
        loader = BlockLoader(MemmapDataset(layout), batch_size=32, seed=1)

    The headers of the files are read, and nothing is copied.

    Args:
        settings: what ``dataset: files:`` of a configuration takes: ``path``, ``dtype``,
            ``windows``, ``fields`` and so on.

    Returns:
        Where the rows lie, with the fields ``features`` and ``target``.

    Raises:
        ValueError: for settings that are unknown or do not go together.
        UserError: where files are missing, do not agree, or do not hold what the settings name.
    """
    layout, _ = describe_files(FilesSettings.model_validate(settings))
    return layout
