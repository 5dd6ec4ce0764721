"""Batches on their way to Application Insights: what each answer of the far side means for each record."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from amllog.config.parsers import ConnectionString, parse_connection_string
from amllog.exporters.app_insights.http_exporter import AppInsightsExporter
from amllog.exporters.app_insights.ingestion_protocol import TOO_OLD
from amllog.local import AzureOnThisMachine
from amllog.local.azure import INSTRUMENTATION_KEY
from amllog.local.faults import Fault
from amllog.record import envelope

SLACK = 90.0  # of a busy machine; the answers above take twice as long


def line(number: int, *, age: float = 0.0, key: str | None = INSTRUMENTATION_KEY) -> bytes:
    """One message as the journal has it."""
    data = {"message": f"line {number}", "properties": {"record_id": f"r-{number}"}}
    return envelope.encode_record(time.time() - age, key, {}, "MessageData", data)


def lines(count: int) -> list[bytes]:
    """Several."""
    return [line(number) for number in range(count)]


def arrived(azure: AzureOnThisMachine) -> list[str]:
    """The messages that the far side has."""
    return [one["data"]["baseData"]["message"] for one in azure.envelopes]


@pytest.fixture
def outlet(azure: AzureOnThisMachine) -> Any:
    """The outlet, pointed at this machine."""
    outlet = AppInsightsExporter(parse_connection_string(azure.connection_string))
    yield outlet
    outlet.close()


def states(answer: Any, count: int) -> list[str]:
    """The state of every line."""
    return [answer.exceptions.get(index, answer.default).state for index in range(count)]


def reasons(answer: Any, count: int) -> Counter[str]:
    """How often each reason was given."""
    return Counter(answer.exceptions.get(index, answer.default).reason for index in range(count))


def test_delivered(azure: AzureOnThisMachine, outlet: Any) -> None:
    """What is taken is delivered, in order, over one connection, compressed."""
    for _ in range(3):
        assert states(outlet.export(lines(100), 10), 100) == ["delivered"] * 100
    assert arrived(azure) == [f"line {number}" for number in range(100)] * 3
    assert len(azure.requests_log) == 3


@pytest.mark.parametrize(
    ("status", "state"),
    [(code, "waiting") for code in (401, 402, 403, 404, 408, 429, 439, 500, 502, 503, 504, 599, 418, 204)]
    + [(307, "waiting"), (308, "waiting"), (302, "waiting")],
)
def test_status(azure: AzureOnThisMachine, outlet: Any, status: int, state: str) -> None:
    """Answers that say nothing of the items leave all waiting, with the status as the reason, after one request."""
    azure.faults.put(Fault(status=status))
    answer = outlet.export(lines(10), 10)
    assert states(answer, 10) == [state] * 10
    assert len(azure.requests_log) == 1
    assert arrived(azure) == []


@pytest.mark.parametrize("status", [400, 413])
def test_poison(azure: AzureOnThisMachine, outlet: Any, status: int) -> None:
    """One item for whose sake the whole is refused takes none of its neighbours along, in few requests."""
    poison = line(77).replace(b'"line 77"', b"NaN") if status == 400 else line(77)
    batch = [*lines(77), poison, *(line(number) for number in range(78, 500))]
    if status == 413:

        def too_large(request_items: Any) -> bool:
            return "line 77" in str(request_items)

        azure.faults.put(Fault(item=too_large, status=413, message="too large"))
    answer = outlet.export(batch, 30)
    assert [index for index, state in enumerate(states(answer, 500)) if state != "delivered"] == [77]
    assert answer.exceptions[77].state == "refused" and str(status) in answer.exceptions[77].reason
    assert sorted(arrived(azure)) == sorted(f"line {number}" for number in range(500) if number != 77)
    assert len(azure.requests_log) <= 2 * 9 + 1


def test_all_poison(azure: AzureOnThisMachine, outlet: Any) -> None:
    """Where every item is refused, each is counted with the reason; nothing waits for ever."""
    azure.faults.put(Fault(item=".", status=400, message="109: Field 'x'. Expected: y, Actual: 17"))
    answer = outlet.export(lines(20), 30)
    assert reasons(answer, 20) == {"400: 109: Field 'x'": 20}


def test_whole_refused(azure: AzureOnThisMachine, outlet: Any) -> None:
    """A 400 without a word about the items is halved down to each item."""
    azure.faults.put(Fault(status=400))
    answer = outlet.export(lines(8), 30)
    assert reasons(answer, 8) == {"400 invalid": 8}
    assert len(azure.requests_log) == 15


def test_mixture(azure: AzureOnThisMachine, outlet: Any) -> None:
    """A 206 is judged item by item: taken, refused for good, to be sent again, or sampled out by the service."""
    azure.faults.put(
        Fault(item='"line 1"', status=500, message="boom"),
    )
    assert states(outlet.export(lines(4), 10), 4) == ["delivered", "waiting", "delivered", "delivered"]
    azure.faults.clear()
    for number, (status, message, state) in enumerate([
        (400, "100: bad", "refused"), (429, "slow down", "waiting"), (439, "quota", "waiting"),
        (206, "Telemetry sampled out.", "refused"), (402, "quota", "waiting"), (503, "later", "waiting"),
        (408, "timeout", "waiting"), (413, "too large", "refused"),
    ]):  # fmt: skip
        azure.faults.put(Fault(item='"line 2"', status=status, message=message))
        answer = outlet.export(lines(4), 10)
        assert states(answer, 4) == ["delivered", "delivered", state, "delivered"], (number, status)
        azure.faults.clear()
    assert Counter(arrived(azure))["line 2"] == 1  # of the first batch alone


@pytest.mark.parametrize("form", ["seconds", "date", "rubbish", "past"])
def test_retry_after(azure: AzureOnThisMachine, outlet: Any, form: str) -> None:
    """Retry-After is kept in both of its forms, for whole batches and for items; rubbish is no reason to wait."""
    when = datetime.now(timezone.utc) + timedelta(seconds=-90 if form == "past" else 90)
    value = {"seconds": "90", "rubbish": "soon"}.get(form) or format_datetime(when, usegmt=True)
    azure.faults.put(Fault(status=429, headers={"Retry-After": value}))
    pause = outlet.export(lines(3), 10).pause_seconds
    assert 80 < pause <= 90 if form in ("seconds", "date") else pause == 0
    azure.faults.clear()
    body = '{"itemsReceived":2,"itemsAccepted":1,"errors":[{"index":1,"statusCode":429,"message":"slow"}]}'
    azure.faults.put(Fault(status=206, body=body, headers={"Retry-After": value}))
    answer = outlet.export(lines(2), 10)
    assert states(answer, 2) == ["delivered", "waiting"]
    assert 80 < answer.pause_seconds <= 90 if form in ("seconds", "date") else answer.pause_seconds == 0


@pytest.mark.parametrize("body", ["", "no json", "[]", "null", '{"errors": 3}', '{"errors":[{}]}', "\xff"])
def test_unreadable(azure: AzureOnThisMachine, outlet: Any, body: str) -> None:
    """A body that cannot be read changes nothing about a 200, and leaves a 206 waiting."""
    azure.faults.put(Fault(status=200, body=body))
    assert states(outlet.export(lines(3), 10), 3) == ["delivered"] * 3
    azure.faults.clear()
    azure.faults.put(Fault(status=206, body=body))
    assert states(outlet.export(lines(3), 10), 3) == ["waiting"] * 3


def test_a_redirect_to_a_path(azure: AzureOnThisMachine, outlet: Any) -> None:
    """A redirect that names a path only leads to the same host."""
    path = urlsplit(azure.ingestion_endpoint).path + "/v2/track"
    azure.faults.put(Fault(status=308, headers={"Location": path}, times=1))
    assert states(outlet.export(lines(3), 10), 3) == ["delivered"] * 3


def test_slow_redirects(azure: AzureOnThisMachine, outlet: Any) -> None:
    """All requests of an offer share its time: the second of two slow redirects is the last."""
    there = {"Location": f"{azure.ingestion_endpoint}/v2.1/track"}
    azure.faults.put(Fault(status=307, headers=there, seconds=1.0))
    assert states(outlet.export(lines(3), 1.5), 3) == ["waiting"] * 3
    assert len(azure.requests_log) <= 2


class Listening(BaseHTTPRequestHandler):
    """Takes everything, and remembers the authorization of each request."""

    heard: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append(self.headers["Authorization"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Credential:
    """A credential of azure.identity, in short."""

    token = "of the credential"

    def get_token(self, *_: str) -> Credential:
        """A token."""
        return self


@pytest.mark.parametrize("credential", [None, Credential()])
def test_no_password_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credential: Credential | None
) -> None:
    """A `default` in the user's .netrc goes nowhere, and takes the place of no token."""
    (tmp_path / "netrc").write_text("default login me password hunter22\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    Listening.heard.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        threading.Thread(target=server.serve_forever).start()
        string = f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint=http://127.0.0.1:{server.server_port}"
        outlet = AppInsightsExporter(parse_connection_string(string), credential=credential)
        assert states(outlet.export(lines(1), 10), 1) == ["delivered"]
        outlet.close()
        server.shutdown()
    assert Listening.heard == [credential and "Bearer of the credential"]


class SlowCredential(Credential):
    """A credential that gives its token when it is told to."""

    def __init__(self) -> None:
        self.ready, self.asked = threading.Event(), 0

    def get_token(self, *_: str) -> Credential:
        """A token, at last."""
        self.asked += 1
        assert self.ready.wait(SLACK)
        return self


def test_a_credential_that_hangs(azure: AzureOnThisMachine) -> None:
    """A credential that gives no token holds up an offer no longer than its time; its late token is used."""
    credential = SlowCredential()
    outlet = AppInsightsExporter(parse_connection_string(azure.connection_string), credential=credential)
    said = set[str]()
    while "the credential gives no token in time" not in said or not credential.asked:
        said |= set(reasons(outlet.export(lines(3), 0.2), 3))
    assert said <= {"the credential gives no token in time", "no time left"}  # of a busy machine
    credential.ready.set()
    assert states(outlet.export(lines(3), SLACK), 3) == ["delivered"] * 3
    assert credential.asked == 1
    outlet.close()


def test_a_credential_where_no_thread_starts() -> None:
    """Where Python starts no thread any more, as 3.12.1 at the exit, the token is asked for all the same."""
    Listening.heard.clear()
    with HTTPServer(("127.0.0.1", 0), Listening) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        string = f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint=http://127.0.0.1:{server.server_port}"
        outlet = AppInsightsExporter(parse_connection_string(string), credential=Credential())
        before = threading.stack_size(2**46)  # no system has so much room for a thread
        try:
            answer = outlet.export(lines(1), SLACK)
        finally:
            threading.stack_size(before)
        outlet.close()
        server.shutdown()
    assert states(answer, 1) == ["delivered"]
    assert Listening.heard == ["Bearer of the credential"]


@pytest.mark.parametrize("index", [-1, 3, 10**30, "1", None, 1.5])
def test_odd_indexes(azure: AzureOnThisMachine, outlet: Any, index: object) -> None:
    """An error that points outside of the batch hits nobody else."""
    import json

    body = json.dumps({"errors": [{"index": index, "statusCode": 400, "message": None}]})
    azure.faults.put(Fault(status=206, body=body))
    answer = outlet.export(lines(3), 10)
    assert "refused" not in states(answer, 3)[::2]


def test_redirects(azure: AzureOnThisMachine, outlet: Any, tmp_path: Any) -> None:
    """A redirect within the host is followed; one to a foreign host gets no data, nor does an endless one."""
    azure.faults.put(Fault(status=307, headers={"Location": f"{azure.ingestion_endpoint}/v2/track"}, times=1))
    assert states(outlet.export(lines(3), 10), 3) == ["delivered"] * 3
    with AzureOnThisMachine(tmp_path / "foreign") as foreign:
        there = foreign.ingestion_endpoint.replace("127.0.0.1", "localhost")
        azure.faults.put(Fault(status=308, headers={"Location": f"{there}/v2.1/track"}, times=1))
        answer = outlet.export(lines(3), 10)
        assert states(answer, 3) == ["waiting"] * 3 and answer.pause_seconds > 0
        assert len(foreign.requests_log) == 0
    azure.faults.put(Fault(status=307, headers={"Location": f"{azure.ingestion_endpoint}/v2.1/track"}))
    assert states(outlet.export(lines(3), 10), 3) == ["waiting"] * 3
    assert len(azure.requests_log) < 12


def test_connection_troubles(azure: AzureOnThisMachine, outlet: Any) -> None:
    """Broken, hanging and missing connections leave records waiting, with a reason, in bounded time."""
    azure.faults.put(Fault(close=True))
    assert states(outlet.export(lines(3), 10), 3) == ["waiting"] * 3
    azure.faults.clear()
    for hang in ("before headers", "after headers"):
        azure.faults.put(Fault(hang=hang))
        began = time.monotonic()
        assert reasons(outlet.export(lines(3), 1), 3) == {"timeout": 3}
        assert time.monotonic() - began < 1 + SLACK
        azure.faults.clear()
    azure.faults.put(Fault(seconds=0.5))
    assert states(outlet.export(lines(3), 10), 3) == ["delivered"] * 3
    azure.faults.clear()
    assert states(outlet.export(lines(3), 10), 3) == ["delivered"] * 3
    azure.stop()
    assert "connection" in next(iter(reasons(outlet.export(lines(3), 10), 3)))
    azure.start()
    assert states(outlet.export(lines(3), 10), 3) == ["delivered"] * 3


@pytest.mark.parametrize("where", ["headers", "body"])
def test_drops(azure: AzureOnThisMachine, outlet: Any, where: str) -> None:
    """An answer that comes byte by byte, in its headers or in its body, is over when the offer's time is."""
    body = '{"itemsReceived":3,"itemsAccepted":3,"errors":[]}' + " " * 200_000
    # Of some 180 bytes of headers: at this pace the second ends within them, or long after.
    azure.faults.put(Fault(status=200, body=body, drops=1.0 if where == "headers" else 0.001))
    began = time.monotonic()
    assert reasons(outlet.export(lines(3), 1), 3) == {"timeout": 3}
    assert time.monotonic() - began < 1 + SLACK
    azure.faults.clear()
    assert states(outlet.export(lines(3), 10), 3) == ["delivered"] * 3


@pytest.mark.parametrize("endpoint", ["http://nowhere.invalid", "https://127.0.0.1:9", "http://[::bad"])
def test_bad_endpoints(endpoint: str) -> None:
    """A host that does not exist, or an address that is none, leaves records waiting with a short reason."""
    target = ConnectionString(INSTRUMENTATION_KEY, endpoint)
    outlet = AppInsightsExporter(target)
    answer = outlet.export([line(1, key=target.instrumentation_key)], 5)
    assert states(answer, 1) == ["waiting"]
    assert len(next(iter(reasons(answer, 1)))) < 60


def test_tls_failure(azure: AzureOnThisMachine) -> None:
    """A certificate that nobody vouches for gets no data."""
    token = azure.ingestion_endpoint[len(azure.url) :]
    https = azure._upload_url().replace("this-machine.blob.local@", "") + token
    outlet = AppInsightsExporter(
        parse_connection_string(f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={https}")
    )
    assert reasons(outlet.export(lines(1), 10), 1) == {"TLS certificate not accepted": 1}
    assert arrived(azure) == []


def test_age(azure: AzureOnThisMachine, outlet: Any) -> None:
    """Records older than 48 hours are not sent; their neighbours are."""
    batch = [line(0, age=49 * 3600), line(1), line(2, age=47 * 3600)]
    answer = outlet.export(batch, 10)
    assert states(answer, 3) == ["refused", "delivered", "delivered"]
    assert answer.exceptions[0].reason == TOO_OLD
    assert arrived(azure) == ["line 1", "line 2"]
    assert states(outlet.export(batch[:1], 10), 1) == ["refused"]
    assert len(azure.requests_log) == 1


def test_whose(azure: AzureOnThisMachine) -> None:
    """Ours are the lines with our key, and from our time on those that had none yet; they get it on the way."""
    now = time.time()
    outlet = AppInsightsExporter(parse_connection_string(azure.connection_string), since=now)
    assert outlet.wants(line(1)) and outlet.wants(line(1, key="", age=-1))
    assert not outlet.wants(line(1, key="", age=10))
    assert not outlet.wants(line(1, key=None))
    assert not outlet.wants(line(1, key=INSTRUMENTATION_KEY.replace("0", "1")))
    assert states(outlet.export([line(1, key="", age=-1)], 10), 1) == ["delivered"]
    assert [one["iKey"] for one in azure.envelopes] == [INSTRUMENTATION_KEY]


def test_credential(azure: AzureOnThisMachine) -> None:
    """With a credential, requests carry its token for the service's scope."""

    class Credential:
        scopes: tuple[str, ...] = ()

        def get_token(self, *scopes: str) -> Any:
            type(self).scopes = scopes
            return type("Token", (), {"token": "t"})

    outlet = AppInsightsExporter(parse_connection_string(azure.connection_string), credential=Credential())
    assert states(outlet.export(lines(1), 10), 1) == ["delivered"]
    assert Credential.scopes == ("https://monitor.azure.com//.default",)


def test_forked(azure: AzureOnThisMachine, outlet: Any) -> None:
    """A forked child does not speak on its parent's connection."""
    outlet.export(lines(1), 10)
    pid = os.fork()
    if pid == 0:
        fine = states(outlet.export(lines(50), 10), 50) == ["delivered"] * 50
        os._exit(0 if fine else 1)
    for _ in range(20):
        assert states(outlet.export(lines(50), 10), 50) == ["delivered"] * 50
    assert os.waitpid(pid, 0)[1] == 0
    assert len(azure.envelopes) == 1 + 21 * 50
