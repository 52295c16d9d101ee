"""Sends recorded events to an OpenLineage endpoint: Marquez, DataHub, or any other.

The HTTP transport of openlineage-python is not used: it removes nulls from events, which makes them
differ from the records and invalid by memtrain's schema, and it follows redirects.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from memtrain.core.errors import UserError

if TYPE_CHECKING:
    from requests import Session

#: The environment variable that holds the API key.
API_KEY = "OPENLINEAGE_API_KEY"

_PATH = "/api/v1/lineage"
_TIMEOUT_SECONDS = 30
_RETRIES = 4
#: The first retry follows at once, the second after twice this time; then the waits double.
_BACKOFF_SECONDS = 0.5
#: HTTP statuses after which the same event may be accepted if it is sent again.
_RETRIED_STATUSES = (429, 500, 502, 503, 504)
#: HTTP statuses that all events would get: the API key or the URL is wrong.
_FATAL_STATUSES = (401, 403, 404, 405)
_MAX_ANSWER_CHARACTERS = 200


@dataclass
class Replay:
    """What became of the events.

    Attributes:
        sent: the number of events that the server accepted.
        failed: for each event that the server did not accept, its name and the reason.
        stopped_at: the time of the event at which the replay stopped; None if it did not stop.
        problem: why it stopped.
    """

    sent: int = 0
    failed: list[str] = field(default_factory=list)
    stopped_at: str | None = None
    problem: str | None = None


def replay(events: Iterable[dict[str, Any]], url: str) -> Replay:
    """Send events in their order, and go on after those that the server does not accept.

    An event is sent again if there is no connection, or if the server is overloaded or fails. The
    replay stops if the server cannot be reached, or refuses the API key or the URL. The key is read
    from the environment variable ``OPENLINEAGE_API_KEY``, and written nowhere.

    Args:
        events: the recorded events, the oldest first.
        url: the URL of the server, or of its endpoint where that is not ``/api/v1/lineage``.

    Raises:
        UserError: where this is not an http URL, or holds a password.
    """
    endpoint = endpoint_of(url)
    result = Replay()
    with _session() as session:
        for event in events:
            problem = _send(session, endpoint, event, result)
            if problem is not None:
                result.problem = problem
                result.stopped_at = event["eventTime"]
                break
    return result


def _send(session: "Session", endpoint: str, event: dict[str, Any], result: Replay) -> str | None:
    """Send one event, and note in the result what became of it.

    Returns:
        Why the server accepts no event at all; None where it may accept others.
    """
    from requests import RequestException

    try:
        answer = session.post(endpoint, json=event, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
    except RequestException as error:
        return f"{endpoint} cannot be reached ({_root_cause(error)})"
    if answer.ok and not answer.is_redirect:
        result.sent += 1
        return None
    text = answer.text.strip()[:_MAX_ANSWER_CHARACTERS]
    said = f"{answer.status_code} {answer.reason} {text}".strip()
    if answer.status_code in _FATAL_STATUSES:
        return f"{endpoint} answers {said}"
    result.failed.append(f"{_name(event)}: {said}")
    return None


def endpoint_of(url: str) -> str:
    """Return the URL that events are posted to.

    Args:
        url: the URL of a server, or of its endpoint.

    Raises:
        UserError: where this is not an http URL, or holds a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(
            f"--to {url}: this is not an http URL; use, for instance, http://localhost:5000."
        )
    if parts.username or parts.password:
        raise UserError(
            "--to: this URL holds a user or a password, which others could see on the command "
            f"line. Remove them, and set {API_KEY} in the environment instead."
        )
    return urlunsplit(parts if parts.path.strip("/") else parts._replace(path=_PATH))


def _session() -> "Session":
    # Imported here, since it would delay the start of all other commands.
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    session = requests.Session()
    retry = Retry(
        total=_RETRIES,
        backoff_factor=_BACKOFF_SECONDS,
        status_forcelist=_RETRIED_STATUSES,
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


def _root_cause(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
