"""What becomes of the words of a category: one-hot columns or codes, by the training rows alone."""

from collections import Counter
from collections.abc import Mapping

from memtrain.config.encoding import CategoryEncoding, Fill
from memtrain.config.training import TrainingSettings
from memtrain.core.errors import UserError
from memtrain.data.source import SourceColumn
from memtrain.recipes.encoding import EncodedColumn


def fill_of(settings: TrainingSettings, *names: str) -> Fill | None:
    """Return what fills a column; the first of its names that the settings have decides."""
    impute = settings.impute
    if isinstance(impute, dict):
        impute = next((impute[name] for name in names if name in impute), None)
    if impute is None or isinstance(impute, Fill):
        return impute
    return Fill.model_validate({"with": impute})


def has_indicator(settings: TrainingSettings, column: SourceColumn) -> bool:
    """Return whether the model sees where values of a column were missing."""
    fill = fill_of(settings, column.name)
    return fill is not None and fill.indicator


def encoded_category(
    where: str, settings: TrainingSettings, column: SourceColumn, counts: Mapping[int, int]
) -> EncodedColumn:
    """Return what becomes of a category.

    Args:
        where: key of the split, for messages.
        settings: settings of the training.
        column: the category.
        counts: how often every code occurs in the training rows; 0 for one that does not.

    Raises:
        UserError: where a one-hot would have too many words.
    """
    given = settings.encode.get(column.name)
    how = given if isinstance(given, CategoryEncoding) else CategoryEncoding(name="one_hot")
    words = _words_of(column)
    frequent = [code for code in words if counts[code] >= how.rare]
    rare = [code for code in words if 0 < counts[code] < how.rare]
    first = 0 if how.name == "one_hot" else 1
    places = [first + number for number in range(len(frequent))]
    size = first + len(frequent)
    places += [size] * len(rare)
    size += bool(rare)
    missing = None
    fill = fill_of(settings, column.name)
    if fill is not None and fill.with_ == "category":
        missing, size = size, size + 1
    elif fill is not None and fill.with_ == "most_frequent" and frequent + rare:
        most = max(counts[code] for code in words)
        smallest = next(code for code in words if counts[code] == most)
        missing = places[[*frequent, *rare].index(smallest)]
    if how.name == "one_hot" and size > how.most:
        raise UserError(
            f"{where}: the category {column.name} has {len(frequent) + len(rare):,} words in "
            f"the training rows, and one_hot would make {size:,} features of them; at most "
            f"{how.most:,} are allowed. Set `training: {{encode: {{{column.name}: codes}}}}` "
            "for a model with an embedding, put rare words together ({name: one_hot, rare: "
            "10}), raise the limit (most: ...), or leave the column out."
        )
    return EncodedColumn(
        column=column.name,
        kind=how.name,
        field=column.field,
        start=column.position,
        width=1,
        codes=[*frequent, *rare],
        places=places,
        size=size,
        missing=missing,
        indicator=has_indicator(settings, column),
    )


def one_hot_names(encoded: EncodedColumn, column: SourceColumn) -> list[str]:
    """Return the name of every feature of a one-hot: the column's, and its word."""
    word_of = {code: word for word, code in (column.words or {}).items()}
    names = ["(missing)"] * encoded.size
    shared = Counter(encoded.places)
    for code, place in zip(encoded.codes, encoded.places, strict=True):
        names[place] = word_of[code] if shared[place] == 1 else "(other)"
    return [f"{column.name}={name}" for name in names]


def _words_of(column: SourceColumn) -> list[int]:
    """Return the codes of the words of a column, in the order of the words."""
    return list((column.words or {}).values())
