"""Builds the messages of TensorBoard's event files: scalars, tables of text, hyperparameters.

TensorBoard is imported when the first message is built. Its messages are made at run time from
descriptions, so that no type checker knows them.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from memtrain.tracking.points import Point
from memtrain.tracking.tracker import RunState

#: What TensorBoard calls the states of a run, in ``hparams/api.proto``.
_STATUS: dict[RunState, str] = {
    "running": "STATUS_RUNNING",
    "finished": "STATUS_SUCCESS",
    "failed": "STATUS_FAILURE",
    "stopped": "STATUS_UNKNOWN",
}

#: The class of data of a text, DATA_CLASS_TENSOR in ``summary.proto``.
_TENSOR = 2


def first_event(at: float) -> bytes:
    """Return the event that every file begins with."""
    return _event(wall_time=at, file_version="brain.Event:2")


def scalars(point: Point, at: float) -> bytes:
    """Return the event with the numbers of a step."""
    values = [
        _summary("Summary").Value(tag=name, simple_value=value)
        for name, value in point.values.items()
    ]
    return _event(wall_time=at, step=point.step, summary=_summary("Summary")(value=values))


def table(tag: str, content: Mapping[str, object], at: float) -> bytes:
    """Return the event with a table of keys and values, which is text in Markdown."""
    lines = [f"| {key} | {_cell(value)} |" for key, value in content.items()]
    text = "\n".join(["| key | value |", "|---|---|", *lines])
    types = import_module("tensorboard.compat.proto.types_pb2")
    tensor = import_module("tensorboard.compat.proto.tensor_pb2").TensorProto(
        dtype=types.DT_STRING, string_val=[text.encode()]
    )
    return _plugin_event(f"{tag}/text_summary", "text", b"", tensor=tensor, at=at)


def session_start(settings: Mapping[str, str | float | bool], at: float) -> bytes:
    """Return the event with the settings of a run, as hyperparameters."""
    start = _hparams("SessionStartInfo")(start_time_secs=at)
    for name, value in settings.items():
        start.hparams[name].CopyFrom(_value(value))
    return _session_event("session_start_info", start, at)


def session_end(state: RunState, at: float) -> bytes:
    """Return the event that says how a run ended."""
    status = import_module("tensorboard.plugins.hparams.api_pb2").Status.Value(_STATUS[state])
    end = _hparams("SessionEndInfo")(status=status, end_time_secs=at)
    return _session_event("session_end_info", end, at)


def _session_event(kind: str, content: Any, at: float) -> bytes:
    metadata = import_module("tensorboard.plugins.hparams.metadata")
    data = _hparams("HParamsPluginData")(version=metadata.PLUGIN_DATA_VERSION, **{kind: content})
    return _plugin_event(
        f"_hparams_/{kind}",
        metadata.PLUGIN_NAME,
        data.SerializeToString(),
        tensor=metadata.NULL_TENSOR,
        at=at,
    )


def _plugin_event(tag: str, plugin: str, content: bytes, *, tensor: Any, at: float) -> bytes:
    metadata = _summary("SummaryMetadata")(
        plugin_data=_summary("SummaryMetadata").PluginData(plugin_name=plugin, content=content),
        data_class=_TENSOR if plugin == "text" else 0,
    )
    value = _summary("Summary").Value(tag=tag, metadata=metadata, tensor=tensor)
    return _event(wall_time=at, summary=_summary("Summary")(value=[value]))


def _event(**content: Any) -> bytes:
    event = import_module("tensorboard.compat.proto.event_pb2").Event(**content)
    return event.SerializeToString()


@cache
def _summary(name: str) -> Any:
    return getattr(import_module("tensorboard.compat.proto.summary_pb2"), name)


@cache
def _hparams(name: str) -> Any:
    return getattr(import_module("tensorboard.plugins.hparams.plugin_data_pb2"), name)


def _value(value: str | float | bool) -> Any:
    message = import_module("google.protobuf.struct_pb2").Value
    if isinstance(value, bool):
        return message(bool_value=value)
    if isinstance(value, int | float):
        return message(number_value=value)
    return message(string_value=value)


def _cell(value: object) -> str:
    """Return a value as a cell of a table in Markdown."""
    return str(value).replace("|", "\\|").replace("\n", " ")
