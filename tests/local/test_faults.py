"""Faults: each kind, for how many requests, of which service, and from another process."""

from __future__ import annotations

import http.client
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from amllog.local import AzureOnThisMachine, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Client

    MakeClient = Callable[[AzureOnThisMachine], Client]

EVENT = {
    "name": "Microsoft.ApplicationInsights.Event",
    "time": datetime.now(timezone.utc).isoformat(),
    "iKey": "00000000-0000-0000-0000-0000000010ca",
    "data": {"baseType": "EventData", "baseData": {"ver": 2, "name": "e"}},
}
TRACK = ("POST", "/v2.1/track", [EVENT])


def test_a_status_for_the_next_requests(azure: AzureOnThisMachine, client: Client) -> None:
    """Two requests fail with the headers given, the third is served; what failed had no effect."""
    azure.faults.put(Fault(status=503, headers={"Retry-After": "1"}, times=2))
    replies = [client(*TRACK) for _ in range(3)]
    assert [reply.status for reply in replies] == [503, 503, 200]
    assert [reply.headers.get("Retry-After") for reply in replies] == ["1", "1", None]
    assert len(azure.envelopes) == 1


def test_faults_come_one_after_the_other(azure: AzureOnThisMachine, client: Client) -> None:
    """What is put first hits first."""
    azure.faults.put(Fault(status=500, times=1), Fault(status=429))
    assert [client(*TRACK).status for _ in range(3)] == [500, 429, 429]
    assert azure.faults.active == [Fault(status=429)]
    azure.faults.clear()
    assert client(*TRACK).status == 200


def test_each_service_has_its_own(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """A fault of run history leaves ingestion alone, and one with a path hits that path only."""
    azure.faults.put(Fault("run_history", status=500, path="/experiments/"))
    assert client(*TRACK).status == 200
    assert client.history("GET", f"experiments/local/runs/{run}").status == 500
    assert client.history("GET", f"runs/{run}").status == 200


def test_slow(azure: AzureOnThisMachine, client: Client) -> None:
    """The answer is right, but late."""
    azure.faults.put(Fault(seconds=0.2))
    begin = time.monotonic()
    assert client(*TRACK).status == 200
    assert time.monotonic() - begin >= 0.2


def test_an_answer_that_is_lost(azure: AzureOnThisMachine, client: Client) -> None:
    """`carried_out`: the items were taken, but the client hears of an error."""
    azure.faults.put(Fault(status=500, carried_out=True))
    assert client(*TRACK).status == 500
    assert len(azure.envelopes) == 1


def test_an_unreadable_answer(azure: AzureOnThisMachine, client: Client) -> None:
    """A status with a body that is no JSON."""
    azure.faults.put(Fault(status=206, body="<html>", carried_out=True))
    reply = client(*TRACK)
    assert (reply.status, reply.body) == (206, b"<html>")


def test_a_redirect(azure: AzureOnThisMachine, client: Client) -> None:
    """Status and Location as given."""
    azure.faults.put(Fault(status=308, headers={"Location": "http://127.0.0.1:1/v2.1/track"}))
    assert client(*TRACK).headers["Location"] == "http://127.0.0.1:1/v2.1/track"


@pytest.mark.parametrize("carried_out", [False, True])
def test_the_connection_breaks_in_the_middle(
    azure: AzureOnThisMachine, client: Client, carried_out: bool
) -> None:
    """Headers and half of the body come, then nothing."""
    azure.faults.put(Fault(close=True, carried_out=carried_out, times=1))
    with pytest.raises(http.client.IncompleteRead):
        client(*TRACK)
    assert len(azure.envelopes) == carried_out


@pytest.mark.parametrize(
    ("hang", "error"), [("before headers", TimeoutError), ("after headers", TimeoutError)]
)
def test_it_hangs(azure: AzureOnThisMachine, client: Client, hang: str, error: type[Exception]) -> None:
    """No more comes than was to come; clearing the faults lets go."""
    azure.faults.put(Fault(hang=hang))
    client.connection.timeout = 0.2
    with pytest.raises((error, OSError)):
        client(*TRACK)
    assert azure.envelopes == []


def test_a_hang_ends_when_the_faults_are_cleared(azure: AzureOnThisMachine, client: Client) -> None:
    """The connection is closed, the client wakes."""
    azure.faults.put(Fault(hang="before headers", times=1))
    ended = threading.Event()

    def clear() -> None:
        while not ended.wait(0.05):
            if not azure.faults.active:  # the request has come
                azure.faults.clear()

    thread = threading.Thread(target=clear)
    thread.start()
    with pytest.raises((http.client.HTTPException, OSError)):
        client(*TRACK)
    ended.set()
    thread.join()


def test_a_stop_does_not_wait_for_what_hangs(azure: AzureOnThisMachine, client: Client) -> None:
    """Stopping is quick whatever hangs."""
    azure.faults.put(Fault(seconds=900, times=1))

    def broken_off() -> None:
        with pytest.raises(OSError):
            client(*TRACK)

    thread = threading.Thread(target=broken_off)
    thread.start()
    while azure.faults.active:
        time.sleep(0.01)
    begin = time.monotonic()
    azure.stop()
    thread.join(600)
    assert time.monotonic() - begin < 300


def test_metrics_that_are_refused(azure: AzureOnThisMachine, client: Client, run: str) -> None:
    """A fault on items of run history is an error of these metrics."""
    azure.faults.put(Fault("run_history", status=400, message="no", item='"name":"bad"'))
    metrics = [
        {"name": name, "columns": {name: "int"}, "value": [{"data": {name: 1}}]} for name in ("good", "bad")
    ]
    errors = client.metric(f"runs/{run}/batch", {"values": metrics}).json["errors"]
    assert [(one["metric"]["name"], one["errorResponse"]["error"]["message"]) for one in errors] == [
        ("bad", "no")
    ]
    assert azure.values(run) == {"good": [1]}


def test_from_another_process(azure: AzureOnThisMachine, client: Client, make_client: MakeClient) -> None:
    """`PUT /faults` sets them all, `GET` shows them, an empty list clears."""
    reply = client("PUT", "/faults", [{"service": "ingestion", "status": 503, "times": 1}, {"seconds": 0.01}])
    assert [one["status"] for one in reply.json] == [503, None]
    assert [client(*TRACK).status for _ in range(2)] == [503, 200]
    assert len(client("GET", "/faults").json) == 1
    assert client("PUT", "/faults", []).json == []
    assert azure.faults.active == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"stauts": 500}, "a fault is a JSON object with"),
        (5, "a fault is a JSON object with"),
        ({"status": "500"}, "status = '500'"),
        ({"service": "blob"}, "allowed are ingestion, run_history"),
        ({"hang": "always"}, "hang = 'always'"),
        ({"item": "x"}, "needs the `status`"),
        ({"item": "(", "status": 500}, "("),
        ({"headers": {"A": "b\r\nC: d"}}, "headers"),
        ({"headers": {"A": "\u2192"}}, "headers"),
        ({"headers": {"A B": "c"}}, "headers"),
        ({"seconds": 1e308}, "seconds = 1e+308: allowed are 0 to 3600"),
        ({"seconds": -1}, "seconds = -1: allowed are 0"),
        ({"seconds": True}, "seconds = True"),
        ({"drops": -1}, "drops = -1: allowed are 0"),
        ({"status": 99999}, "status = 99999: allowed are 200 to 599"),
        ({"status": 101}, "status = 101: allowed are 200"),
        ({"times": 0}, "times = 0: allowed are 1"),
    ],
)
def test_wrong_faults_are_told(client: Client, fault: object, told: str) -> None:
    """A fault that can never hit is an error, not a silence."""
    reply = client("PUT", "/faults", [fault])
    assert reply.status == 400
    assert told in reply.json["error"]["message"]
