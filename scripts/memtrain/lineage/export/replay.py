"""Sends stored events to an OpenLineage endpoint: Marquez, DataHub, or any other."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from memtrain.core.errors import UserError

API_KEY = "OPENLINEAGE_API_KEY"

_PATH = "/api/v1/lineage"
_SECONDS = 30
_TRIES_AGAIN = 4
#: Answers that another try may change; what else is answered, the event itself is the reason.
_PASSING = (429, 500, 502, 503, 504)
_REFUSED = (401, 403, 404, 405)
_SHOWN = 200


@dataclass
class Replay:
    """How a replay went.

    Attributes:
        sent: events that were taken.
        failed: what was wrong with each of the others.
        stopped_at: the time of the first event that was not tried, since none would be taken.
        problem: why not.
    """

    sent: int = 0
    failed: list[str] = field(default_factory=list)
    stopped_at: str | None = None
    problem: str | None = None


def replay(events: Iterable[dict[str, Any]], url: str, seconds_between: float = 0.5) -> Replay:
    """Send events in order, and go on where one is not taken.

    What passes (no connection, too many requests, a server that is unwell) is tried again, after
    pauses that double. A server that cannot be reached, or that lets nobody in, ends it.

    Args:
        events: as they were recorded, the oldest first.
        url: of the server, or of its endpoint where that is not ``/api/v1/lineage``. An API key
            stands in the environment, as ``OPENLINEAGE_API_KEY``, and nowhere else.
        seconds_between: the first pause.

    Raises:
        UserError: where the URL is none to send to.
    """
    import requests

    endpoint, result = endpoint_of(url), Replay()
    with _session(seconds_between) as session:
        for event in events:
            try:
                answer = session.post(endpoint, json=event, timeout=_SECONDS, allow_redirects=False)
            except requests.RequestException as error:
                result.problem = f"{endpoint} cannot be reached ({_innermost(error)})"
            else:
                if answer.ok and not answer.is_redirect:
                    result.sent += 1
                    continue
                said = f"{answer.status_code} {answer.reason} {answer.text.strip()[:_SHOWN]}"
                if answer.status_code in _REFUSED:
                    result.problem = f"{endpoint} answers {said.strip()}"
                else:
                    result.failed.append(f"{_name(event)}: {said.strip()}")
                    continue
            result.stopped_at = event["eventTime"]
            break
    return result


def endpoint_of(url: str) -> str:
    """Return where events are posted to.

    Raises:
        UserError: where this is no http URL, or holds a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"--to {url}: this is no http URL; use for instance http://localhost:5000.")
    if parts.username or parts.password:
        raise UserError(
            f"--to: a URL is seen by others, so it must hold no user and no password. Set "
            f"{API_KEY} in the environment instead."
        )
    return urlunsplit(parts if parts.path.strip("/") else parts._replace(path=_PATH))


def _session(seconds_between: float) -> Any:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    session = requests.Session()
    retry = Retry(
        total=_TRIES_AGAIN,
        backoff_factor=seconds_between,
        status_forcelist=_PASSING,
        allowed_methods=["POST"],
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    if key := os.environ.get(API_KEY):
        session.headers["Authorization"] = f"Bearer {key}"
    return session


def _name(event: dict[str, Any]) -> str:
    return f"{event['job']['name']} {event['eventType']} of run {event['run']['runId']}"


def _innermost(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
