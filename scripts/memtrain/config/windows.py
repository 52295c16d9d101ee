"""The settings of windows: rows that are consecutive elements of a stream."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from memtrain.config.types import FROM_TEXT, Count, FilePath, Settings

#: What the name of a field is.
FIELD_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")

Place = Annotated[int, Field(ge=0, lt=2**62), FROM_TEXT]


class TargetWindow(Settings):
    """Elements that are the target of a window, counted from its first element."""

    offset: Place = Field(description="Elements from the start of the window to its target.")
    length: Count = Field(description="Number of elements of the target.")


class BordersInFile(Settings):
    """Borders of documents, from a file of the numbers of their first elements."""

    offsets: FilePath = Field(
        description="A .npy file of whole numbers, ascending: the first element of every document, "
        "counted over all files."
    )


class BordersAtElement(Settings):
    """Borders behind an element that ends documents, such as an end-of-text token."""

    delimiter: Annotated[int, Field(ge=-(2**63), lt=2**64), FROM_TEXT] = Field(
        description="The element that is the last of every document."
    )


def _read_target(value: Any) -> Any:
    if isinstance(value, dict):
        return TargetWindow.model_validate(value)
    is_name = isinstance(value, str) and FIELD_NAME.fullmatch(value)
    if value is None or isinstance(value, TargetWindow) or is_name:
        return value
    raise ValueError(
        "the target of a window is `next`, {offset: N, length: N}, or the name of another field "
        "under `fields`, of which the same window is the target"
    )


def _read_borders(value: Any) -> Any:
    if isinstance(value, BordersInFile | BordersAtElement) or value in (
        "file",
        "none",
        "documents",
    ):
        return value
    models: dict[str, type[Settings]] = {"offsets": BordersInFile, "delimiter": BordersAtElement}
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in models:
        return models[next(iter(value))].model_validate(value)
    raise ValueError(
        "borders are `file`, `documents`, `none`, {offsets: a .npy file}, or {delimiter: an "
        "element}"
    )


class WindowSettings(Settings):
    """Rows that are windows of a stream: consecutive elements of one document or file."""

    length: Count = Field(description="Elements of a window, as the model sees it.")
    stride: Count | None = Field(
        default=None,
        description="Elements from the start of a window to the start of the next one; null: as "
        "many as a window has, so that windows lie side by side.",
    )
    target: Annotated[
        Literal["next"] | str | TargetWindow | None, BeforeValidator(_read_target)
    ] = Field(
        default=None,
        description="Elements that are the target. next: of every element the one behind it, for "
        "models of language; {offset, length}: elements that begin so far behind the start of the "
        "window; another name: the same window of the field of that name, such as a label for "
        "every element; null: the target is in another field, one for each window.",
    )
    borders: Annotated[
        Literal["file", "documents", "none"] | BordersInFile | BordersAtElement,
        BeforeValidator(_read_borders),
    ] = Field(
        default="file",
        description="Borders that no window crosses. file: between files; documents: those that "
        "the files know, as Megatron's .idx does; none: windows cross from file to file; {offsets: "
        "FILE}: a .npy of the first element of every document; {delimiter: N}: behind every "
        "element N, which takes reading all elements once.",
    )
    rest: Literal["drop", "shift", "pad"] = Field(
        default="drop",
        description="Elements before a border that do not fill a window. drop: they are left out; "
        "shift: a last window is shifted back until it ends at the border; pad: they are a shorter "
        "window, which batches pad, with a mask beside them, so that no padding is learned from. "
        "pad is for windows side by side whose target is in another field.",
    )

    @model_validator(mode="after")
    def _check_rest(self) -> "WindowSettings":
        if self.rest == "pad" and (self.step != self.length or self.target_places is not None):
            raise ValueError(
                "rest: pad is for windows side by side (no `stride`) whose target is in another "
                "field, so that no two windows share elements; use `rest: shift`, or `ragged` in "
                "place of `windows`"
            )
        return self

    @property
    def step(self) -> int:
        """The number of elements from one window to the next."""
        return self.stride or self.length

    @property
    def target_field(self) -> str | None:
        """The name of the field whose windows are the target; None where it is none's."""
        return self.target if isinstance(self.target, str) and self.target != "next" else None

    @property
    def target_places(self) -> tuple[int, int] | None:
        """The elements ``[start, end)`` of the target, from the start of the window.

        None where the target is in no elements of the same stream.
        """
        if self.target == "next":
            return 1, self.length + 1
        if isinstance(self.target, TargetWindow):
            return self.target.offset, self.target.offset + self.target.length
        return None

    @property
    def stored_length(self) -> int:
        """The number of elements that a row takes: those of the features and of the target."""
        return max(self.length, (self.target_places or (0, 0))[1])
