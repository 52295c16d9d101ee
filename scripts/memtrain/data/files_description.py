"""From the settings of rows in files to their description: where they lie, and what they mean.

Only headers are read, and no value, unless the settings name an element at which documents end.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from memtrain.config.files import FieldSettings, FilesSettings, read_part
from memtrain.config.selections import positions_of
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.wording import listed
from memtrain.data.file_headers import ChosenArray, FileHeaders
from memtrain.data.files_layout import FieldView, FilesLayout
from memtrain.data.number_types import BFLOAT16
from memtrain.data.row_counts import check_counts, where_they_part
from memtrain.data.row_cutting import cut_into_ragged_rows
from memtrain.data.source import FEATURES, Source, SourceColumn
from memtrain.data.streams.row_addresses import Consecutive
from memtrain.data.streams.stored_field import StoredField
from memtrain.data.window_cutting import cut_into_windows

TARGET = "target"

#: Key of these settings in the configuration, for messages.
_WHERE = "dataset.files"

#: Name of the stored field where there is one without a name.
_ROWS = "rows"


@dataclass(frozen=True)
class _Part:
    """A part of the rows that is the target, or that belongs to the features.

    Attributes:
        name: name of the values, such as that of their field.
        view: where they lie.
        is_target: whether they are the target.
        is_column: whether they are columns of a matrix, which are called by their numbers.
        unit: what the values count, where the files say it.
    """

    name: str
    view: FieldView
    is_target: bool
    is_column: bool = False
    unit: str | None = None


def describe_files(settings: FilesSettings) -> tuple[FilesLayout, Source]:
    """Return where the rows of files lie, and what they mean.

    Raises:
        UserError: where files are missing, do not agree, or do not hold what the settings name.
    """
    stored, parts = _side_by_side(settings.fields) if settings.fields else _in_one_stream(settings)
    check_counts(_WHERE, stored)
    parts = [_with_places(part, stored) for part in parts]
    raise_problems(_shared_places(parts))
    layout = FilesLayout(tuple(stored.values()), _views(parts))
    return layout, _source(settings, parts, layout)


def describe_features(where: str, settings: FieldSettings) -> FilesLayout:
    """Return where the features of rows lie that have no target, to predict them.

    Args:
        where: key of the settings, for error messages.
        settings: the field of the features.

    Raises:
        UserError: where files are missing, do not agree, or do not hold what the settings name.
    """
    headers = FileHeaders.read(where, settings)
    chosen = headers.choose(settings.array)
    stored = {_ROWS: _stored_field(_ROWS, headers, chosen.array, settings)}
    view = FieldView(_ROWS, chosen.record_fields)
    if settings.has_target_in_rows:
        part, _ = _parts_of_rows(_ROWS, view, settings, None)
    else:
        start, end = read_part(settings.part)
        part = _Part(_ROWS, replace(view, start=start, end=end), is_target=False)
    part = _with_places(part, stored, where)
    return FilesLayout(tuple(stored.values()), {FEATURES: part.view})


def _side_by_side(
    fields: Mapping[str, FieldSettings],
) -> tuple[dict[str, StoredField], list[_Part]]:
    """Return the stored fields and the parts of fields in files of their own."""
    stored: dict[str, StoredField] = {}
    parts: list[_Part] = []
    problems: list[str] = []
    windows_of = {
        one.windows.target_field: name
        for name, one in fields.items()
        if one.windows is not None and one.windows.target_field
    }
    for name, settings in fields.items():
        try:
            headers = FileHeaders.read(f"{_WHERE}.fields.{name}", settings)
            chosen = headers.choose(settings.array)
            stored[name] = _stored_field(name, headers, chosen.array, settings)
        except UserError as error:
            problems.extend(error.problems)
            continue
        view = FieldView(name, chosen.record_fields)
        if settings.has_target_in_rows:
            parts += _parts_of_rows(name, view, settings, headers.unit(chosen))
        else:
            start, end = read_part(settings.part)
            is_target = settings.target or name in windows_of
            view = replace(view, start=start, end=end)
            parts.append(_Part(name, view, is_target, unit=headers.unit(chosen)))
    raise_problems(problems)
    for target, name in windows_of.items():
        stored[target] = _in_windows_of(stored[name], stored[target])
    return stored, parts


def _in_windows_of(one: StoredField, other: StoredField) -> StoredField:
    """Return a field in the windows of another one, element beside element.

    Args:
        one: the field that has windows.
        other: the field whose rows are single elements.

    Raises:
        UserError: where the two have different numbers of elements.
    """
    elements = one.stream.elements
    if other.rows != elements:
        raise UserError(
            f"{_WHERE}.fields.{one.name}.windows.target: {other.name} has an element for each of "
            f"{one.name}, and these have {other.rows:,} elements ({other.name}), {elements:,} "
            f"elements ({one.name}). "
            f"{where_they_part(replace(one, addresses=Consecutive(elements)), other)}"
            "Name files that belong together."
        )
    return replace(other, addresses=one.addresses)


def _in_one_stream(settings: FilesSettings) -> tuple[dict[str, StoredField], list[_Part]]:
    """Return the stored fields and the parts of rows whose fields lie in the same files."""
    headers = FileHeaders.read(_WHERE, settings)
    stored: dict[str, StoredField] = {}

    def view_of(chosen: ChosenArray) -> FieldView:
        name = chosen.array or _ROWS
        if name not in stored:
            stored[name] = _stored_field(name, headers, chosen.array, settings)
        return FieldView(name, chosen.record_fields)

    if settings.has_target_in_rows:
        chosen = headers.choose(settings.array)
        name, unit = settings.array or _ROWS, headers.unit(chosen)
        return stored, _parts_of_rows(name, view_of(chosen), settings, unit)
    target = settings.target or []
    features = settings.features or _all_but(target, headers)
    parts = []
    for names, is_target in ((features, False), (target, True)):
        for name in names:
            places = positions_of(name)
            if places is None:
                chosen = headers.choose(name)
                unit = headers.unit(chosen)
                parts.append(_Part(name, view_of(chosen), is_target, unit=unit))
            else:
                view = view_of(headers.choose(settings.array))
                view = replace(view, start=places.start, end=places.stop)
                parts.append(_Part(name, view, is_target, is_column=True))
    return stored, parts


def _all_but(target: Sequence[str], headers: FileHeaders) -> list[str]:
    """Return the features where they are all that is not the target.

    Raises:
        UserError: where columns on both sides of the target would be left.
    """
    places = positions_of(target[0])
    if places is None:
        return [name for name in headers.names() if name not in target]
    if places.start and places.stop is None:
        return [f"0:{places.start}"]
    if not places.start and places.stop is not None:
        return [f"{places.stop}:"]
    raise UserError(
        f"{_WHERE}.target: found {target[0]}; the features are the rest of a row only if "
        "the target is its start or its end. Say what the features are: `features: '0:64'`."
    )


def _parts_of_rows(
    name: str, view: FieldView, settings: FieldSettings | FilesSettings, unit: str | None
) -> list[_Part]:
    """Return the features and the target of rows whose target is some of their own elements."""
    windows = settings.windows
    if windows is None:  # Of ragged rows, the target is the next element.
        features, target = replace(view, start=0, end=-1), replace(view, start=1)
    else:
        places = windows.target_places
        assert places is not None, "windows without a target have one part"
        features = replace(view, start=0, end=windows.length)
        target = replace(view, start=places[0], end=places[1])
    return [
        _Part(name, features, is_target=False, unit=unit),
        _Part(TARGET, target, is_target=True, unit=unit),
    ]


def _stored_field(
    name: str, headers: FileHeaders, array: str, settings: FieldSettings | FilesSettings
) -> StoredField:
    stream = headers.stream(array)
    if stream.elements == 0:
        raise UserError(f"{headers.where}: the files hold no elements. Name files that do.")
    if settings.ragged is not None:
        rows = cut_into_ragged_rows(headers, array, stream, settings.ragged)
        return StoredField(name, stream, rows)
    if settings.windows is not None:
        return StoredField(name, stream, cut_into_windows(headers, array, stream, settings.windows))
    return StoredField(name, stream, Consecutive(stream.elements))


def _with_places(part: _Part, stored: Mapping[str, StoredField], where: str = _WHERE) -> _Part:
    """Return a part with the places of a row that it takes; all of its axis where none are given.

    Raises:
        UserError: where a row has no such places.
    """
    view, field = part.view, stored[part.view.stored]
    dtype, shape = field.stream.dtype, field.stream.shape if field.is_ragged else field.row_shape
    for name in view.record_fields:
        inner = dtype[name]
        dtype, shape = inner.base, (*shape, *inner.shape)
    if dtype.names is not None:
        raise UserError(
            f"{where}: {field.stream.paths[0]} holds records; name the fields that are the "
            f"features and the target: {listed(dtype.names)}."
        )
    if dtype.kind not in "fiub" and dtype != BFLOAT16:
        raise UserError(
            f"{where}: {part.name} is {dtype}, and models are given numbers. Import it with "
            "`dataset: import:`, which reads words and times."
        )
    if field.is_ragged:
        if part.is_column:
            raise UserError(
                f"{where}: {part.name} names columns, and {field.name} has ragged rows, which "
                "are not divided. Store features and target in files or fields of their own."
            )
        return part
    if not shape:
        if view.start is not None or view.end is not None:
            raise UserError(
                f"{where}: {part.name} is a place within a row, and rows of "
                f"{field.stream.paths[0]} are single values."
            )
        return replace(part, view=replace(view, is_column=True))
    start, end = view.start or 0, shape[0] if view.end is None else view.end
    if not 0 <= start < end <= shape[0]:
        raise UserError(
            f"{where}: {part.name} names places [{start}, {end}) of a row, and rows of "
            f"{field.stream.paths[0]} have {shape[0]:,}."
        )
    return (
        part
        if view.start is view.end is None
        else replace(part, view=replace(view, start=start, end=end))
    )


def _shared_places(parts: Sequence[_Part]) -> Iterator[str]:
    """Yield a problem for a feature and a target that have columns in common."""
    for one, other in combinations(parts, 2):
        left, right = one.view, other.view
        same = (left.stored, left.record_fields) == (right.stored, right.record_fields)
        if not same or not (one.is_column or one.view == other.view):
            continue
        if max(left.start or 0, right.start or 0) < min(
            math.inf if left.end is None else left.end, math.inf if right.end is None else right.end
        ):
            yield f"{_WHERE}: {one.name} and {other.name} have columns in common; remove these."


def _views(parts: Sequence[_Part]) -> dict[str, FieldView]:
    """Return the fields of the rows: the features, of one part or several, and then the target.

    Raises:
        UserError: where the target has several parts.
    """
    targets = [part for part in parts if part.is_target]
    if len(targets) > 1:
        raise UserError(
            f"{_WHERE}.target: found {listed(part.name for part in targets)}; the target is one "
            "field, or one run of columns such as '2304:'."
        )
    features = [part for part in parts if not part.is_target]
    names = _feature_fields(features)
    return {name: part.view for name, part in zip(names, features, strict=True)} | {
        TARGET: targets[0].view
    }


def _feature_fields(features: Sequence[_Part]) -> list[str]:
    return [FEATURES] if len(features) == 1 else [f"{FEATURES}_{part.name}" for part in features]


def _source(settings: FilesSettings, parts: Sequence[_Part], layout: FilesLayout) -> Source:
    features = [part for part in parts if not part.is_target]
    target = next(part for part in parts if part.is_target)
    fields = layout.fields
    columns = [
        _column(part, name, fields[name])
        for name, part in zip(_feature_fields(features), features, strict=True)
    ]
    last = _column(target, TARGET, fields[TARGET])
    dtype = fields[TARGET].base
    is_class = settings.task == "classification" or (
        settings.task is None and (settings.classes is not None or dtype.kind in "iub")
    )
    if is_class and dtype.kind not in "iub":
        raise UserError(
            f"{_WHERE}.target: it is {dtype}, and classes are whole numbers. Use `task: "
            "regression`, or a target of whole numbers."
        )
    if len(columns) > 1:
        _check_columns(columns, layout)
    return Source(
        features=[name for column in columns for name in column.names],
        target=last.names,
        task="classification" if is_class else "regression",
        classes=(settings.classes or (2 if dtype.kind == "b" else None)) if is_class else None,
        columns=[*columns, last],
        origin={"kind": "files", "settings": settings.model_dump(mode="json")},
    )


def _check_columns(columns: Sequence[SourceColumn], layout: FilesLayout) -> None:
    """Refuse features of several fields that cannot stand in one row of numbers."""
    ragged = [column.name for column in columns if column.field in layout.ragged]
    if ragged:
        raise UserError(
            f"{_WHERE}: the rows of {listed(ragged)} vary in length, and features of several "
            "fields become one row of numbers. Use it as the only field of the features."
        )
    blocks = [column.name for column in columns if len(column.shape) > 1]
    if blocks:
        raise UserError(
            f"{_WHERE}: {listed(blocks)} has more than one axis a row, and features of several "
            "fields become one row of numbers. Use it as the only field of the features."
        )


def _column(part: _Part, field: str, dtype: np.dtype) -> SourceColumn:
    shape, first = dtype.shape, part.view.start or 0
    if part.is_column and len(shape) == 1:
        names = [str(first + place) for place in range(shape[0])]
    elif math.prod(shape) == 1:
        names = [part.name]
    else:
        names = [f"{part.name}[{','.join(map(str, place))}]" for place in np.ndindex(shape)]
    if part.unit:
        names = [f"{name} ({part.unit})" for name in names]
    return SourceColumn(part.name, "number", field, 0, list(shape), dtype.base.name, names)
