"""Replay of recorded events to a server that accepts events valid by OpenLineage's schemas."""

import json
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.validators.openlineage_schema import problems


class Server(ThreadingHTTPServer):
    """A server that keeps the events that are posted to it, and answers with given statuses.

    Args:
        answers: function from the number of a request (1, 2, ...) and its event to the status.
    """

    daemon_threads = True

    def __init__(self, answers=lambda number, event: 201):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.requests = []
        self.accepted = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers.get("Authorization"), event))
        found = problems(event)
        status = 422 if found else self.server.answers(len(self.server.requests), event)
        if status == 201:
            self.server.accepted.append(event)
        content = "; ".join(found or [f"status {status}"]).encode()
        self.send_response(status)
        if status == 307:
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def serving(**options):
    """Run a server in a thread, and yield it."""
    with Server(**options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def events(finished_project, tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.ndjson"
    finished_project.lineage("export", "openlineage", path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_server_gets_every_event_in_order(finished_project, events, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "a key")
    with serving() as server:
        answer = finished_project.lineage("replay", "--to", server.url)
    assert f"{len(events)} of {len(events)} events sent" in answer
    assert "a key" not in answer
    assert server.accepted == events
    assert {request[:2] for request in server.requests} == {("/api/v1/lineage", "Bearer a key")}
    kinds = Counter(event["eventType"] for event in server.accepted)
    assert kinds["START"] == kinds["COMPLETE"] == 14


def test_events_since_a_time_are_sent_to_the_endpoint_in_the_url(finished_project, events):
    since = events[5]["eventTime"]
    with serving() as server:
        url = f"{server.url}/lineage/in"
        finished_project.lineage("replay", "--to", url, "--since", since)
    assert server.accepted == [event for event in events if event["eventTime"] >= since]
    assert {path for path, *_ in server.requests} == {"/lineage/in"}


def test_an_event_is_sent_again_after_the_server_fails(finished_project, events):
    with serving(answers=lambda number, event: 503 if number in (1, 4) else 201) as server:
        finished_project.lineage("replay", "--to", server.url)
    assert server.accepted == events
    assert len(server.requests) == len(events) + 2


def test_an_event_that_is_not_accepted_is_named_and_the_others_are_sent(finished_project, events):
    def refuse_training(number, event):
        return 400 if event["job"]["name"] == "train/first" else 201

    with serving(answers=refuse_training) as server:
        answer = finished_project.lineage("replay", "--to", server.url, "--json", status=1)
    answer = json.loads(answer)
    assert (answer["sent"], answer["problem"]) == (len(events) - 2, None)
    assert [failure.split(" of run ")[0] for failure in answer["failed"]] == [
        "train/first START",
        "train/first COMPLETE",
    ]
    assert all(failure.endswith("400 Bad Request status 400") for failure in answer["failed"])


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_refuses_access_ends_the_replay(finished_project, events, status):
    with serving(answers=lambda number, event: status if number == 3 else 201) as server:
        answer = finished_project.lineage("replay", "--to", server.url, status=1)
    assert server.accepted == events[:2]
    assert f"answers {status}" in answer
    assert f"--since {events[2]['eventTime']}" in answer


def test_a_redirect_is_not_followed(finished_project, events):
    with serving(answers=lambda number, event: 307 if number == 1 else 201) as server:
        answer = finished_project.lineage("replay", "--to", server.url, status=1)
    assert "307" in answer
    assert server.accepted == events[1:]
    assert {path for path, *_ in server.requests} == {"/api/v1/lineage"}


def test_a_server_that_cannot_be_reached_stops_the_replay(finished_project):
    with Server() as server:
        url = server.url
    answer = finished_project.lineage("replay", "--to", url, status=1)
    assert "cannot be reached" in answer
    assert "Connection refused" in answer
    assert "0 of" in answer
