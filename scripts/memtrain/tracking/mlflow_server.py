"""Sends trainings to a server of MLflow, through its client.

A training is a run, which is known by the tag "memtrain.training". The server keeps a number once,
however often it is sent with the same step and time.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from memtrain.tracking.points import Point
from memtrain.tracking.tracked_training import TrackedTraining
from memtrain.tracking.tracker import RunState, TrackerError

#: What a server takes in one call: https://mlflow.org/docs/latest/rest-api.html#request-limits
_MOST_NUMBERS, _MOST_PARAMETERS = 1000, 100

#: Every request is answered within seconds, or tried again later: somebody may wait for the end.
#: And nothing of a training is told to others than this server.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_STATUS: dict[RunState, str] = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
}

_Result = TypeVar("_Result")


class MlflowServer:
    """The run of one training on a server; see ``Tracker``.

    Args:
        uri: address of the server, or what else MLflow takes as a tracking URI.
        experiment: name of the experiment.
    """

    def __init__(self, uri: str, experiment: str):
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self.target = f"{uri} {experiment}"
        self._uri = uri
        self._experiment = experiment
        self._run = ""
        self._connection: Any = None

    def begin(self, training: TrackedTraining, run: str | None, started_at: float) -> str:
        """Find or make the run, and write settings and ids."""
        with self._errors():
            self._run = (
                run if run and self._is_there(run) else self._find_or_make(training, started_at)
            )
            self._write_settings(training)
        return self._run

    def last_steps(self) -> dict[str, int]:
        """Return the last steps that the server has of the run."""
        with self._errors():
            curves = {name: f"{name}/loss" for name in ("training", "validation")}
            known = self._client.get_run(self._run).data.metrics
            return {
                table: max(
                    number.step for number in self._client.get_metric_history(self._run, curve)
                )
                for table, curve in curves.items()
                if curve in known
            }

    def most_points(self, point: Point) -> int:
        """Return how many points like this one can be added in one call."""
        return max(1, _MOST_NUMBERS // max(1, len(point.values)))

    def add(self, points: Sequence[Point], at: float) -> None:
        """Send points."""
        from mlflow.entities import Metric

        numbers = [
            Metric(name, value, round(at * 1000), point.step)
            for point in points
            for name, value in point.values.items()
        ]
        with self._errors():
            for part in _parts(numbers, _MOST_NUMBERS):
                self._client.log_batch(self._run, metrics=part)

    def set_state(self, state: RunState, at: float) -> None:
        """Write how far the training is."""
        with self._errors():
            if state == "running":
                self._client.update_run(self._run, status=_STATUS[state])
            else:
                self._client.set_terminated(self._run, _STATUS[state], round(at * 1000))

    def close(self) -> None:
        """Do nothing: connections end with the program."""

    @property
    def _client(self) -> Any:
        if self._connection is None:
            from mlflow import MlflowClient

            self._connection = MlflowClient(self._uri)
        return self._connection

    def _is_there(self, run: str) -> bool:
        """Return whether the server has a run, and has not removed it."""
        found = self._unless("RESOURCE_DOES_NOT_EXIST", lambda: self._client.get_run(run))
        return found is not None and found.info.lifecycle_stage == "active"

    def _find_or_make(self, training: TrackedTraining, started_at: float) -> str:
        experiment = self._experiment_id()
        tag = f"tags.`memtrain.training` = '{training.identity.digest}'"
        split = f"tags.`memtrain.split` = '{training.split}'"
        found = self._client.search_runs([experiment], f"{tag} and {split}", max_results=1)
        if found:
            return found[0].info.run_id
        # With its tags from the first moment: a run whose making was not answered is found by them.
        return self._client.create_run(
            experiment,
            start_time=round(started_at * 1000),
            tags=training.tags() | {"mlflow.source.name": "memtrain"},
            run_name=training.split,
        ).info.run_id

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            # Another training may make it at this moment.
            made = self._unless(
                "RESOURCE_ALREADY_EXISTS",
                lambda: self._client.create_experiment(self._experiment),
            )
            return made or self._client.get_experiment_by_name(self._experiment).experiment_id
        return found.experiment_id

    def _write_settings(self, training: TrackedTraining) -> None:
        from mlflow.entities import Param, RunTag

        self._client.log_batch(
            self._run, tags=[RunTag(name, value) for name, value in training.tags().items()]
        )
        settings = [Param(name, str(value)) for name, value in training.settings().items()]
        for part in _parts(settings, _MOST_PARAMETERS):
            self._client.log_batch(self._run, params=part)

    def _unless(self, code: str, call: Callable[[], _Result]) -> _Result | None:
        """Return what a call returns; None if the server answers with an error code."""
        from mlflow.exceptions import MlflowException

        try:
            return call()
        except MlflowException as error:
            if error.error_code != code:
                raise
            return None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say in a sentence what a client of MLflow raises."""
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            yield
        except (MlflowException, RequestException, OSError) as error:
            raise TrackerError(f"{self._uri}: {_first_sentence(error)}") from None


def _parts(items: Sequence[_Result], size: int) -> Iterator[Sequence[_Result]]:
    """Yield a sequence in parts of at most some items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _first_sentence(error: Exception) -> str:
    """Return the innermost reason of an error, on one line."""
    reason: BaseException = error
    while (deeper := reason.__cause__ or reason.__context__) is not None:
        reason = deeper
    return " ".join(str(reason).split())[:300] or type(reason).__name__
