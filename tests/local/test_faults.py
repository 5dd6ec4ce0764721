"""Each kind of fault, its number of requests and its service."""

from __future__ import annotations

import http.client
import threading
import time
from typing import TYPE_CHECKING

import pytest

from amllog.local import AzureOnThisMachine, Fault

from ..conftest import wait_until  # isort: skip
from .conftest import TRACK  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Client

    MakeClient = Callable[[AzureOnThisMachine], Client]


def test_a_status_for_the_next_requests(azure: AzureOnThisMachine, client: Client) -> None:
    """Two requests fail with the headers of the fault and without effect, and the third succeeds."""
    azure.faults.put(Fault(status=503, headers={"Retry-After": "1"}, times=2))
    replies = [client(*TRACK) for _ in range(3)]
    assert [reply.status for reply in replies] == [503, 503, 200]
    assert [reply.headers.get("Retry-After") for reply in replies] == ["1", "1", None]
    assert len(azure.envelopes) == 1


def test_faults_apply_in_the_order_of_their_addition(azure: AzureOnThisMachine, client: Client) -> None:
    """The fault that was added first applies first."""
    azure.faults.put(Fault(status=500, times=1), Fault(status=429))
    assert [client(*TRACK).status for _ in range(3)] == [500, 429, 429]
    assert azure.faults.active == [Fault(status=429)]
    azure.faults.clear()
    assert client(*TRACK).status == 200


def test_faults_apply_to_their_service_and_path(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """A fault of run history does not affect ingestion, and a fault with a path affects only this path."""
    azure.faults.put(Fault("run_history", status=500, path="/experiments/"))
    assert client(*TRACK).status == 200
    assert client.history("GET", f"experiments/local/runs/{run}").status == 500
    assert client.history("GET", f"runs/{run}").status == 200


def test_a_slow_response(azure: AzureOnThisMachine, client: Client) -> None:
    """The response is correct, but late."""
    azure.faults.put(Fault(seconds=0.2))
    began = time.monotonic()
    assert client(*TRACK).status == 200
    assert time.monotonic() - began >= 0.2


def test_a_lost_response(azure: AzureOnThisMachine, client: Client) -> None:
    """With `carried_out`, the items are accepted, but the client gets an error."""
    azure.faults.put(Fault(status=500, carried_out=True))
    assert client(*TRACK).status == 500
    assert len(azure.envelopes) == 1


def test_an_invalid_response(azure: AzureOnThisMachine, client: Client) -> None:
    """A fault can set the status and a body that is not JSON."""
    azure.faults.put(Fault(status=206, body="<html>", carried_out=True))
    reply = client(*TRACK)
    assert (reply.status, reply.body) == (206, b"<html>")


def test_a_redirect(azure: AzureOnThisMachine, client: Client) -> None:
    """A fault can set the status and the header Location of a redirect."""
    azure.faults.put(Fault(status=308, headers={"Location": "http://127.0.0.1:1/v2.1/track"}))
    assert client(*TRACK).headers["Location"] == "http://127.0.0.1:1/v2.1/track"


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_connection_that_is_closed_in_the_middle(
    azure: AzureOnThisMachine, client: Client, carried_out: bool
) -> None:
    """The client gets the headers and half of the body."""
    azure.faults.put(Fault(close=True, carried_out=carried_out, times=1))
    with pytest.raises(http.client.IncompleteRead):
        client(*TRACK)
    assert len(azure.envelopes) == carried_out


@pytest.mark.parametrize(
    ("hang", "error"), [("before headers", TimeoutError), ("after headers", TimeoutError)]
)
def test_a_response_that_hangs(
    azure: AzureOnThisMachine, client: Client, hang: str, error: type[Exception]
) -> None:
    """The client gets no more data than the kind of the fault allows."""
    azure.faults.put(Fault(hang=hang))
    client.connection.timeout = 0.2
    with pytest.raises((error, OSError)):
        client(*TRACK)
    assert azure.envelopes == []


def test_a_hang_ends_when_the_faults_are_cleared(azure: AzureOnThisMachine, client: Client) -> None:
    """The connection is closed, and the client gets an error."""
    azure.faults.put(Fault(hang="before headers", times=1))
    ended = threading.Event()

    def clear() -> None:
        while not ended.wait(0.05):
            if not azure.faults.active:  # the request has arrived
                azure.faults.clear()

    thread = threading.Thread(target=clear)
    thread.start()
    with pytest.raises((http.client.HTTPException, OSError)):
        client(*TRACK)
    ended.set()
    thread.join()


def test_stop_does_not_wait_for_slow_responses(azure: AzureOnThisMachine, client: Client) -> None:
    """`stop()` closes connections that wait for the end of a fault."""
    azure.faults.put(Fault(seconds=900, times=1))

    def send() -> None:
        with pytest.raises(OSError):
            client(*TRACK)

    thread = threading.Thread(target=send)
    thread.start()
    wait_until(lambda: not azure.faults.active)
    began = time.monotonic()
    azure.stop()
    thread.join(600)
    assert time.monotonic() - began < 300


def test_metrics_that_are_rejected(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """A fault on items of run history is an error of the metrics that match it."""
    azure.faults.put(Fault("run_history", status=400, message="no", item='"name":"bad"'))
    metrics = [
        {"name": name, "columns": {name: "int"}, "value": [{"data": {name: 1}}]} for name in ("good", "bad")
    ]
    errors = client.metric(f"runs/{run}/batch", {"values": metrics}).json["errors"]
    assert [(error["metric"]["name"], error["errorResponse"]["error"]["message"]) for error in errors] == [
        ("bad", "no")
    ]
    assert azure.values(run) == {"good": [1]}
