"""The command ``replay``: sends recorded events to an OpenLineage server."""

import argparse
from datetime import UTC, datetime

from memtrain.core.wording import shown
from memtrain.lineage.commands.base import Commands, Query
from memtrain.lineage.export.openlineage import all_events
from memtrain.lineage.export.replay import API_KEY, replay

_DETAILS = f"""\
If the server wants an API key, set it in the environment variable {API_KEY}. Events
that the server does not accept are named, and the others are still sent."""


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "replay", run, "send the recorded events to an OpenLineage server", _DETAILS
    )
    parser.add_argument(
        "--to",
        required=True,
        metavar="URL",
        help="the URL of the server (http://localhost:5000), or of its endpoint if the path is "
        "not /api/v1/lineage",
    )
    parser.add_argument(
        "--since",
        type=_time,
        metavar="TIME",
        help="send only events from this time on, in UTC (2026-01-31T12:00)",
    )


def _time(text: str) -> str:
    """Return a time in UTC, ISO 8601, as events have it."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is no time such as 2026-01-31T12:00 (UTC)"
        ) from None
    in_utc = given.astimezone(UTC) if given.tzinfo else given
    return in_utc.replace(tzinfo=None).isoformat()


def run(query: Query) -> int:
    """Send the recorded events, and print those that were not accepted."""
    since = query.arguments.since or ""  # the earliest of all times
    events = [one for one in all_events(query.index) if one["eventTime"] >= since]
    result = replay(events, query.arguments.to)
    lines = [f"not accepted: {problem}" for problem in result.failed]
    if result.problem:
        lines.append(f"stopped: {result.problem}; go on with --since {result.stopped_at}")
    lines.append(f"{result.sent} of {len(events)} events sent")
    return query.answer(result, lines, is_fine=not (result.failed or result.problem))
