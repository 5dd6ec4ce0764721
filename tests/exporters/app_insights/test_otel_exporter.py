"""Application Insights through the real OpenTelemetry exporter's client, with amllog's own verdicts."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from amllog.config.parsers import parse_connection_string
from amllog.delivery.exporter import ExportResult
from amllog.exporters.app_insights import ingestion_protocol
from amllog.local.faults import Fault
from amllog.record import envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from amllog.local import AzureOnThisMachine

exporter = pytest.importorskip("azure.monitor.opentelemetry.exporter", reason="it needs Python 3.10")
from amllog.exporters.app_insights.otel_exporter import OpenTelemetryExporter  # noqa: E402  after the skip

KEY = "00000000-0000-0000-0000-0000000010ca"


def lines(count: int, key: str = KEY, age: float = 0.0) -> list[bytes]:
    """So many journal lines."""
    data = [{"message": f"line {n}", "severityLevel": 1, "properties": {"n": str(n)}} for n in range(count)]
    return [
        envelope.encode_record(time.time() - age, key, {"ai.operation.id": "a" * 32}, "MessageData", d)
        for d in data
    ]


def states(answer: ExportResult, count: int) -> list[str]:
    """The verdict's state of each line."""
    return [answer.exceptions.get(index, answer.default).state for index in range(count)]


def reasons(answer: ExportResult) -> set[str]:
    """The reasons of all lines that were not delivered."""
    return {verdict.reason for verdict in answer.exceptions.values()}


@pytest.fixture
def outlet(azure: AzureOnThisMachine) -> Iterator[OpenTelemetryExporter]:
    """An outlet to Azure on this machine, whose environment is as unkind as the portal's copy button."""
    os.environ["APPLICATIONINSIGHTS_CONNECTION_STRING"] = f"InstrumentationKey={KEY.upper()};"
    outlet = OpenTelemetryExporter(parse_connection_string(azure.connection_string + ";"))
    yield outlet
    outlet.close()


def test_lines_arrive_as_they_are(azure: AzureOnThisMachine, outlet: OpenTelemetryExporter) -> None:
    """The service gets the very envelopes that the journal holds, every one once."""
    sent = lines(1000)
    assert outlet.export(sent, 10) == ExportResult()
    assert [envelope.decode_line(line) for line in sent] == [dict(record) for record in azure.envelopes]


def test_a_line_without_a_key_is_addressed(azure: AzureOnThisMachine) -> None:
    """What was written before any key was known goes to our resource; what is for another does not."""
    outlet = OpenTelemetryExporter(parse_connection_string(azure.connection_string), since=time.time() - 60)
    unaddressed, other = lines(1, key=""), lines(1, key=KEY.replace("1", "2"))
    assert [outlet.wants(line) for line in (*unaddressed, *other)] == [True, False]
    assert outlet.export(unaddressed, 10) == ExportResult()
    assert [record["iKey"] for record in azure.envelopes] == [KEY]


def test_nothing_else_is_started(child: Any, azure: AzureOnThisMachine, tmp_path: Path) -> None:
    """The exporter is a client and no more: no storage, no thread, no line in the log, even when the service fails."""
    azure.faults.put(Fault(status=503))
    (tmp_path / "tmp").mkdir()
    script = f"""
import logging, threading, time
from amllog.record import envelope
from amllog.exporters.app_insights.otel_exporter import OpenTelemetryExporter
from amllog.config.parsers import parse_connection_string
logging.basicConfig(level=logging.INFO)
outlet = OpenTelemetryExporter(connection_string({azure.connection_string!r}))
line = envelope.encode_record(time.time(), {KEY!r}, {{}}, "MessageData", {{"message": "m", "properties": {{}}}})
print(outlet.export([line], 5).exceptions[0].reason)
print([thread.name for thread in threading.enumerate()])
"""
    ran = child(script, env={"TMPDIR": str(tmp_path / "tmp")})
    assert ran.stdout == "503 service unavailable\n['MainThread']\n", ran
    assert ran.stderr == ""
    assert list((tmp_path / "tmp").iterdir()) == []
    assert len(azure.requests_log) == 1


def test_an_exporter_that_has_changed(child: Any, tmp_path: Path) -> None:
    """Where its client is gone, setup says so, with the version and what to do."""
    changed = tmp_path / "changed"
    package = changed / "azure" / "monitor" / "opentelemetry" / "exporter" / "_generated"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    script = f"""
import sys
sys.path.insert(0, {str(changed)!r})
import amllog
amllog.setup(exporter="opentelemetry", connection_string="{KEY}")
"""
    ran = child(script)
    assert ran.returncode == 1
    assert "azure-monitor-opentelemetry-exporter 1." in ran.stderr.splitlines()[-1]
    assert "set exporter=opencensus" in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("fault", "state", "reason"),
    [
        (Fault(status=429, headers={"Retry-After": "7"}), "waiting", "429 too many requests"),
        (Fault(status=503), "waiting", "503 service unavailable"),
        (Fault(status=401), "waiting", "401 not authorized"),
        (Fault(body="<html>a proxy</html>", status=502), "waiting", "502 bad gateway"),
        (Fault(close=True), "waiting", None),
        (Fault(status=400), "refused", "400 invalid"),
        (Fault(status=307, headers={"Location": "http://elsewhere.invalid/v2.1/track"}), "waiting",
         "redirect to another host, not followed"),
    ],
)  # fmt: skip
def test_answers_mean_what_they_mean_to_the_other_exporter(
    azure: AzureOnThisMachine, outlet: OpenTelemetryExporter, fault: Fault, state: str, reason: str | None
) -> None:
    """One decision table for both: each answer leaves the lines waiting or refused, after one request each."""
    azure.faults.put(fault)
    started = time.monotonic()
    answer = outlet.export(lines(2), 30)
    assert states(answer, 2) == [state, state]
    assert reason is None or reasons(answer) == {reason}
    assert time.monotonic() - started < 200
    if fault.headers.get("Retry-After"):
        assert answer.pause_seconds == 7
    azure.faults.clear()
    assert states(outlet.export(lines(2), 5), 2) == ["delivered", "delivered"]


def test_one_bad_item_is_refused_alone(azure: AzureOnThisMachine, outlet: OpenTelemetryExporter) -> None:
    """Of a batch that is taken in part, each line gets the verdict of its own item."""
    azure.faults.put(
        Fault(item='"line 1"', status=400, message="103: Field 'x' is bad. Expected: 1, Actual: 2")
    )
    answer = outlet.export(lines(3), 5)
    assert states(answer, 3) == ["delivered", "refused", "delivered"]
    assert reasons(answer) == {"400: 103: Field 'x' is bad"}


@pytest.mark.parametrize("hang", ["before headers", "after headers"])
def test_a_hang_is_bounded(azure: AzureOnThisMachine, outlet: OpenTelemetryExporter, hang: str) -> None:
    """A far side that goes silent holds the courier for the seconds it was given, not for azure-core's 300."""
    azure.faults.put(Fault(hang=hang))
    started = time.monotonic()
    answer = outlet.export(lines(2), 1)
    assert states(answer, 2) == ["waiting", "waiting"]
    assert time.monotonic() - started < 200
    azure.faults.clear()


def test_nobody_there(azure: AzureOnThisMachine, outlet: OpenTelemetryExporter) -> None:
    """A refused connection is one try, a reason without addresses, and everything waits."""
    azure.stop()
    started = time.monotonic()
    assert reasons(outlet.export(lines(2), 30)) == {"connection refused"}
    assert time.monotonic() - started < 200


def test_too_old_lines_are_not_sent(azure: AzureOnThisMachine, outlet: OpenTelemetryExporter) -> None:
    """What the service would refuse for its age is refused here."""
    answer = outlet.export([*lines(1, age=49 * 3600), *lines(1)], 5)
    assert states(answer, 2) == ["refused", "delivered"]
    assert reasons(answer) == {ingestion_protocol.TOO_OLD}
    assert len(azure.envelopes) == 1


def test_close_is_not_the_end(outlet: OpenTelemetryExporter) -> None:
    """After `close()` the next batch opens a connection anew."""
    outlet.close()
    outlet.close()
    assert outlet.export(lines(1), 5) == ExportResult()


class Credential:
    """A token credential as azure.identity has them."""

    def __init__(self, get: Callable[[], str]) -> None:
        self.get = get

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """The token for the scopes, which must be Azure Monitor's."""
        from azure.core.credentials import AccessToken

        assert scopes == ("https://monitor.azure.com//.default",)
        return AccessToken(self.get(), int(time.time()) + 3600)


def test_no_token_without_tls(azure: AzureOnThisMachine) -> None:
    """A credential goes through the exporter's pipeline, which never sends a token over plain HTTP: lines wait."""
    outlet = OpenTelemetryExporter(
        parse_connection_string(azure.connection_string), credential=Credential(lambda: "t")
    )
    assert states(outlet.export(lines(1), 5), 1) == ["waiting"]
    assert azure.envelopes == []


def test_no_token_at_all(azure: AzureOnThisMachine) -> None:
    """A credential that fails is no fault of the lines: they wait, as not authorized."""

    def fail() -> str:
        raise exceptions.ClientAuthenticationError("no managed identity here")

    from azure.core import exceptions

    there = parse_connection_string(azure.connection_string)._replace(endpoint="https://127.0.0.1:9")
    answer = OpenTelemetryExporter(there, credential=Credential(fail)).export(lines(1), 5)
    assert reasons(answer) == {"401 not authorized"}


def test_a_whole_session(child: Any, azure: AzureOnThisMachine) -> None:
    """`exporter=opentelemetry` is a setting like any other: plain logging arrives once, with the dimensions."""
    script = """
import amllog, logging
log = amllog.setup(exporter="opentelemetry")
logging.getLogger("mine").warning("hello %s", "world", extra={"rows": 3})
log.metric("loss", 0.5)
print(amllog.shutdown())
"""
    ran = child(script, env={"APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string + ";"})
    assert ran.returncode == 0, ran.stderr
    kinds = [record["data"]["baseType"] for record in azure.envelopes]
    assert sorted(kinds) == ["MessageData", "MetricData", "RequestData"], ran
    said = azure.envelopes[kinds.index("MessageData")]["data"]["baseData"]
    assert said["message"] == "hello world"
    assert said["properties"]["rows"] == "3"
    assert said["properties"]["step_id"]
