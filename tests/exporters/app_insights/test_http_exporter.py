"""Batches for Application Insights, and the verdict of each record after each response of the service."""

from __future__ import annotations

import json
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

SLACK = 90.0  # seconds for a busy machine


def line(number: int, *, age: float = 0.0, key: str | None = INSTRUMENTATION_KEY) -> bytes:
    """Return one message as a journal line."""
    data = {"message": f"line {number}", "properties": {"record_id": f"r-{number}"}}
    return envelope.encode_record(time.time() - age, key, {}, "MessageData", data)


def lines(count: int) -> list[bytes]:
    """Return so many messages as journal lines."""
    return [line(number) for number in range(count)]


def arrived(azure: AzureOnThisMachine) -> list[str]:
    """Return the messages that the service has received."""
    return [envelope["data"]["baseData"]["message"] for envelope in azure.envelopes]


@pytest.fixture
def exporter(azure: AzureOnThisMachine) -> Any:
    """Return an exporter that sends to this machine."""
    exporter = AppInsightsExporter(parse_connection_string(azure.connection_string))
    yield exporter
    exporter.close()


def states(result: Any, count: int) -> list[str]:
    """Return the state of each line."""
    return [result.exceptions.get(index, result.default).state for index in range(count)]


def reasons(result: Any, count: int) -> Counter[str]:
    """Return the number of lines with each reason."""
    return Counter(result.exceptions.get(index, result.default).reason for index in range(count))


def test_accepted_lines_are_delivered(azure: AzureOnThisMachine, exporter: Any) -> None:
    """Accepted lines are delivered in order, in one request per batch."""
    for _ in range(3):
        assert states(exporter.export(lines(100), 10), 100) == ["delivered"] * 100
    assert arrived(azure) == [f"line {number}" for number in range(100)] * 3
    assert len(azure.requests_log) == 3


@pytest.mark.parametrize(
    ("status", "state"),
    [(code, "waiting") for code in (401, 402, 403, 404, 408, 429, 439, 500, 502, 503, 504, 599, 418, 204)]
    + [(307, "waiting"), (308, "waiting"), (302, "waiting")],
)
def test_failed_request_leaves_lines_waiting(
    azure: AzureOnThisMachine, exporter: Any, status: int, state: str
) -> None:
    """A response without items leaves all lines waiting after one request."""
    azure.faults.put(Fault(status=status))
    result = exporter.export(lines(10), 10)
    assert states(result, 10) == [state] * 10
    assert len(azure.requests_log) == 1
    assert arrived(azure) == []


@pytest.mark.parametrize("status", [400, 413])
def test_invalid_item_is_refused_alone(azure: AzureOnThisMachine, exporter: Any, status: int) -> None:
    """If one item makes the service reject the batch, only this item is refused, after few requests."""
    invalid = line(77).replace(b'"line 77"', b"NaN") if status == 400 else line(77)
    batch = [*lines(77), invalid, *(line(number) for number in range(78, 500))]
    if status == 413:

        def too_large(request_items: Any) -> bool:
            return "line 77" in str(request_items)

        azure.faults.put(Fault(item=too_large, status=413, message="too large"))
    result = exporter.export(batch, 30)
    assert [index for index, state in enumerate(states(result, 500)) if state != "delivered"] == [77]
    assert result.exceptions[77].state == "refused" and str(status) in result.exceptions[77].reason
    assert sorted(arrived(azure)) == sorted(f"line {number}" for number in range(500) if number != 77)
    assert len(azure.requests_log) <= 2 * 9 + 1


def test_invalid_items_are_all_refused(azure: AzureOnThisMachine, exporter: Any) -> None:
    """If the service rejects every item, each is refused with the reason."""
    azure.faults.put(Fault(item=".", status=400, message="109: Field 'x'. Expected: y, Actual: 17"))
    result = exporter.export(lines(20), 30)
    assert reasons(result, 20) == {"400: 109: Field 'x'": 20}


def test_rejected_request_is_split(azure: AzureOnThisMachine, exporter: Any) -> None:
    """A batch with a 400 that names no item is halved down to single lines."""
    azure.faults.put(Fault(status=400))
    result = exporter.export(lines(8), 30)
    assert reasons(result, 8) == {"400 invalid": 8}
    assert len(azure.requests_log) == 15


def test_partial_response_has_a_verdict_per_item(azure: AzureOnThisMachine, exporter: Any) -> None:
    """The items of a 206 are delivered, refused, waiting, or sampled out by the service."""
    azure.faults.put(
        Fault(item='"line 1"', status=500, message="boom"),
    )
    assert states(exporter.export(lines(4), 10), 4) == ["delivered", "waiting", "delivered", "delivered"]
    azure.faults.clear()
    for number, (status, message, state) in enumerate([
        (400, "100: bad", "refused"), (429, "slow down", "waiting"), (439, "quota", "waiting"),
        (206, "Telemetry sampled out.", "refused"), (402, "quota", "waiting"), (503, "later", "waiting"),
        (408, "timeout", "waiting"), (413, "too large", "refused"),
    ]):  # fmt: skip
        azure.faults.put(Fault(item='"line 2"', status=status, message=message))
        result = exporter.export(lines(4), 10)
        assert states(result, 4) == ["delivered", "delivered", state, "delivered"], (number, status)
        azure.faults.clear()
    assert Counter(arrived(azure))["line 2"] == 1  # from the first batch alone


@pytest.mark.parametrize("form", ["seconds", "date", "invalid", "past"])
def test_retry_after_is_the_pause(azure: AzureOnThisMachine, exporter: Any, form: str) -> None:
    """Retry-After is followed in both forms, for batches and for items. An invalid value is no pause."""
    when = datetime.now(timezone.utc) + timedelta(seconds=-90 if form == "past" else 90)
    value = {"seconds": "90", "invalid": "soon"}.get(form) or format_datetime(when, usegmt=True)
    azure.faults.put(Fault(status=429, headers={"Retry-After": value}))
    pause = exporter.export(lines(3), 10).pause_seconds
    assert 80 < pause <= 90 if form in ("seconds", "date") else pause == 0
    azure.faults.clear()
    body = '{"itemsReceived":2,"itemsAccepted":1,"errors":[{"index":1,"statusCode":429,"message":"slow"}]}'
    azure.faults.put(Fault(status=206, body=body, headers={"Retry-After": value}))
    result = exporter.export(lines(2), 10)
    assert states(result, 2) == ["delivered", "waiting"]
    assert 80 < result.pause_seconds <= 90 if form in ("seconds", "date") else result.pause_seconds == 0


@pytest.mark.parametrize("body", ["", "no json", "[]", "null", '{"errors": 3}', '{"errors":[{}]}', "\xff"])
def test_unreadable_response(azure: AzureOnThisMachine, exporter: Any, body: str) -> None:
    """With an unreadable body, a 200 still means delivered, and a 206 means waiting."""
    azure.faults.put(Fault(status=200, body=body))
    assert states(exporter.export(lines(3), 10), 3) == ["delivered"] * 3
    azure.faults.clear()
    azure.faults.put(Fault(status=206, body=body))
    assert states(exporter.export(lines(3), 10), 3) == ["waiting"] * 3


def test_redirect_to_a_path(azure: AzureOnThisMachine, exporter: Any) -> None:
    """A redirect to a path is followed on the same host."""
    path = urlsplit(azure.ingestion_endpoint).path + "/v2/track"
    azure.faults.put(Fault(status=308, headers={"Location": path}, times=1))
    assert states(exporter.export(lines(3), 10), 3) == ["delivered"] * 3


def test_slow_redirects_share_the_time_limit(azure: AzureOnThisMachine, exporter: Any) -> None:
    """All requests of an export share its time limit, so the second slow redirect is the last one."""
    headers = {"Location": f"{azure.ingestion_endpoint}/v2.1/track"}
    azure.faults.put(Fault(status=307, headers=headers, seconds=1.0))
    assert states(exporter.export(lines(3), 1.5), 3) == ["waiting"] * 3
    assert len(azure.requests_log) <= 2


class Recorder(BaseHTTPRequestHandler):
    """A service that accepts everything and records the authorization of each request."""

    authorizations: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        """Accept the request."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.authorizations.append(self.headers["Authorization"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Credential:
    """A credential with the interface of azure.identity."""

    token = "of the credential"

    def get_token(self, *_: str) -> Credential:
        """Return a token."""
        return self


@pytest.mark.parametrize("credential", [None, Credential()])
def test_no_password_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credential: Credential | None
) -> None:
    """The `default` of the user's .netrc is not sent, and does not replace the token."""
    (tmp_path / "netrc").write_text("default login me password hunter22\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    Recorder.authorizations.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever).start()
        string = f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint=http://127.0.0.1:{server.server_port}"
        exporter = AppInsightsExporter(parse_connection_string(string), credential=credential)
        assert states(exporter.export(lines(1), 10), 1) == ["delivered"]
        exporter.close()
        server.shutdown()
    assert Recorder.authorizations == [credential and "Bearer of the credential"]


class SlowCredential(Credential):
    """A credential that returns its token after `ready` is set."""

    def __init__(self) -> None:
        self.ready, self.calls = threading.Event(), 0

    def get_token(self, *_: str) -> Credential:
        """Return a token after `ready`."""
        self.calls += 1
        assert self.ready.wait(SLACK)
        return self


def test_slow_credential_does_not_delay_an_export(azure: AzureOnThisMachine) -> None:
    """A slow credential does not delay an export beyond its time limit, and its late token is used."""
    credential = SlowCredential()
    exporter = AppInsightsExporter(parse_connection_string(azure.connection_string), credential=credential)
    seen = set[str]()
    while "the credential returned no token in time" not in seen or not credential.calls:
        seen |= set(reasons(exporter.export(lines(3), 0.2), 3))
    assert seen <= {"the credential returned no token in time", "no time left"}  # on a busy machine
    credential.ready.set()
    assert states(exporter.export(lines(3), SLACK), 3) == ["delivered"] * 3
    assert credential.calls == 1
    exporter.close()


def test_credential_without_threads() -> None:
    """If Python starts no more threads, as 3.12.1 at exit, the token is still requested."""
    Recorder.authorizations.clear()
    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        string = f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint=http://127.0.0.1:{server.server_port}"
        exporter = AppInsightsExporter(parse_connection_string(string), credential=Credential())
        before = threading.stack_size(2**46)  # no system has so much memory for a thread
        try:
            result = exporter.export(lines(1), SLACK)
        finally:
            threading.stack_size(before)
        exporter.close()
        server.shutdown()
    assert states(result, 1) == ["delivered"]
    assert Recorder.authorizations == ["Bearer of the credential"]


@pytest.mark.parametrize("index", [-1, 3, 10**30, "1", None, 1.5])
def test_invalid_index_affects_no_other_line(azure: AzureOnThisMachine, exporter: Any, index: object) -> None:
    """An error with an index outside the batch affects no other line."""
    body = json.dumps({"errors": [{"index": index, "statusCode": 400, "message": None}]})
    azure.faults.put(Fault(status=206, body=body))
    result = exporter.export(lines(3), 10)
    assert "refused" not in states(result, 3)[::2]


def test_redirects_to_other_hosts(azure: AzureOnThisMachine, exporter: Any, tmp_path: Any) -> None:
    """A redirect within the host is followed. One to another host gets no data, and endless ones are limited."""
    azure.faults.put(Fault(status=307, headers={"Location": f"{azure.ingestion_endpoint}/v2/track"}, times=1))
    assert states(exporter.export(lines(3), 10), 3) == ["delivered"] * 3
    with AzureOnThisMachine(tmp_path / "foreign") as foreign:
        endpoint = foreign.ingestion_endpoint.replace("127.0.0.1", "localhost")
        azure.faults.put(Fault(status=308, headers={"Location": f"{endpoint}/v2.1/track"}, times=1))
        result = exporter.export(lines(3), 10)
        assert states(result, 3) == ["waiting"] * 3 and result.pause_seconds > 0
        assert len(foreign.requests_log) == 0
    azure.faults.put(Fault(status=307, headers={"Location": f"{azure.ingestion_endpoint}/v2.1/track"}))
    assert states(exporter.export(lines(3), 10), 3) == ["waiting"] * 3
    assert len(azure.requests_log) < 12


def test_connection_errors_leave_lines_waiting(azure: AzureOnThisMachine, exporter: Any) -> None:
    """Broken, hanging and missing connections leave lines waiting with a reason, in limited time."""
    azure.faults.put(Fault(close=True))
    assert states(exporter.export(lines(3), 10), 3) == ["waiting"] * 3
    azure.faults.clear()
    for hang in ("before headers", "after headers"):
        azure.faults.put(Fault(hang=hang))
        began = time.monotonic()
        assert reasons(exporter.export(lines(3), 1), 3) == {"timeout": 3}
        assert time.monotonic() - began < 1 + SLACK
        azure.faults.clear()
    azure.faults.put(Fault(seconds=0.5))
    assert states(exporter.export(lines(3), 10), 3) == ["delivered"] * 3
    azure.faults.clear()
    assert states(exporter.export(lines(3), 10), 3) == ["delivered"] * 3
    azure.stop()
    assert "connection" in next(iter(reasons(exporter.export(lines(3), 10), 3)))
    azure.start()
    assert states(exporter.export(lines(3), 10), 3) == ["delivered"] * 3


@pytest.mark.parametrize("where", ["headers", "body"])
def test_slow_response_ends_with_the_time_limit(azure: AzureOnThisMachine, exporter: Any, where: str) -> None:
    """A response that arrives byte by byte, in its headers or its body, ends with the time limit of the export."""
    body = '{"itemsReceived":3,"itemsAccepted":3,"errors":[]}' + " " * 200_000
    # The headers have about 180 bytes. At this rate the time limit ends within them or long after.
    azure.faults.put(Fault(status=200, body=body, drops=1.0 if where == "headers" else 0.001))
    began = time.monotonic()
    assert reasons(exporter.export(lines(3), 1), 3) == {"timeout": 3}
    assert time.monotonic() - began < 1 + SLACK
    azure.faults.clear()
    assert states(exporter.export(lines(3), 10), 3) == ["delivered"] * 3


@pytest.mark.parametrize("endpoint", ["http://nowhere.invalid", "https://127.0.0.1:9", "http://[::bad"])
def test_invalid_endpoints(endpoint: str) -> None:
    """A host that does not exist or an invalid URL leaves lines waiting with a short reason."""
    target = ConnectionString(INSTRUMENTATION_KEY, endpoint)
    exporter = AppInsightsExporter(target)
    result = exporter.export([line(1, key=target.instrumentation_key)], 5)
    assert states(result, 1) == ["waiting"]
    assert len(next(iter(reasons(result, 1)))) < 60


def test_untrusted_certificate_gets_no_data(azure: AzureOnThisMachine) -> None:
    """A service with an untrusted certificate gets no data."""
    token = azure.ingestion_endpoint[len(azure.url) :]
    https = azure._upload_url().replace("this-machine.blob.local@", "") + token
    exporter = AppInsightsExporter(
        parse_connection_string(f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={https}")
    )
    assert reasons(exporter.export(lines(1), 10), 1) == {"TLS certificate not accepted": 1}
    assert arrived(azure) == []


def test_old_lines_are_not_sent(azure: AzureOnThisMachine, exporter: Any) -> None:
    """Lines older than 48 hours are refused and not sent, while the others are sent."""
    batch = [line(0, age=49 * 3600), line(1), line(2, age=47 * 3600)]
    result = exporter.export(batch, 10)
    assert states(result, 3) == ["refused", "delivered", "delivered"]
    assert result.exceptions[0].reason == TOO_OLD
    assert arrived(azure) == ["line 1", "line 2"]
    assert states(exporter.export(batch[:1], 10), 1) == ["refused"]
    assert len(azure.requests_log) == 1


def test_lines_without_a_key(azure: AzureOnThisMachine) -> None:
    """The exporter sends lines with its key, and lines without a key since `since`, which get the key."""
    now = time.time()
    exporter = AppInsightsExporter(parse_connection_string(azure.connection_string), since=now)
    assert exporter.wants(line(1)) and exporter.wants(line(1, key="", age=-1))
    assert not exporter.wants(line(1, key="", age=10))
    assert not exporter.wants(line(1, key=None))
    assert not exporter.wants(line(1, key=INSTRUMENTATION_KEY.replace("0", "1")))
    assert states(exporter.export([line(1, key="", age=-1)], 10), 1) == ["delivered"]
    assert [envelope["iKey"] for envelope in azure.envelopes] == [INSTRUMENTATION_KEY]


def test_credential_authorizes_requests(azure: AzureOnThisMachine) -> None:
    """With a credential, requests carry its token for the scope of the service."""

    class Credential:
        scopes: tuple[str, ...] = ()

        def get_token(self, *scopes: str) -> Any:
            type(self).scopes = scopes
            return type("Token", (), {"token": "t"})

    exporter = AppInsightsExporter(parse_connection_string(azure.connection_string), credential=Credential())
    assert states(exporter.export(lines(1), 10), 1) == ["delivered"]
    assert Credential.scopes == ("https://monitor.azure.com//.default",)


def test_forked_child_opens_a_connection(azure: AzureOnThisMachine, exporter: Any) -> None:
    """A forked child does not use its parent's connection."""
    exporter.export(lines(1), 10)
    pid = os.fork()
    if pid == 0:
        is_delivered = states(exporter.export(lines(50), 10), 50) == ["delivered"] * 50
        os._exit(0 if is_delivered else 1)
    for _ in range(20):
        assert states(exporter.export(lines(50), 10), 50) == ["delivered"] * 50
    assert os.waitpid(pid, 0)[1] == 0
    assert len(azure.envelopes) == 1 + 21 * 50
