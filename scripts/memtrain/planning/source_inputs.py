"""Says in a recipe how the columns of imported tables become rows."""

from memtrain.config.dataset import TIME_TYPES, ResolvedImport
from memtrain.data.source import Source, SourceColumn
from memtrain.recipes.inputs import InputColumn, Inputs


def inputs_of_source(source: Source) -> Inputs | None:
    """Return how new rows of the same tables become rows of the data file.

    Args:
        source: source of the rows.

    Returns:
        None for rows that were not imported: their features are numbers without further meaning.
    """
    if not source.columns or source.origin.get("kind") != "import":
        return None
    settings = ResolvedImport.model_validate(source.origin["settings"])
    columns = [_column(settings, column) for column in source.feature_columns]
    return Inputs(columns=columns, class_names=source.class_names, csv=settings.csv)


def _column(settings: ResolvedImport, column: SourceColumn) -> InputColumn:
    declared = settings.dtypes.get(column.name)
    # A duration is a number for a training, since it has no place in the calendar.
    kind = declared if declared in TIME_TYPES else column.kind
    return InputColumn.model_validate(
        {
            "name": column.name,
            "kind": kind,
            "dtype": column.dtype,
            "field": column.field,
            "position": column.position,
            "shape": column.shape,
            "present": column.present,
            "rounds": settings.rounds(column.name),
            "may_be_missing": settings.missing_policy(column.name) == "keep",
        }
    )
