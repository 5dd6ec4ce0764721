"""Application Insights through the client of the real OpenTelemetry exporter, with the verdicts of amllog."""

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

pytest.importorskip("azure.monitor.opentelemetry.exporter", reason="it needs Python 3.10")
from amllog.exporters.app_insights.otel_exporter import OpenTelemetryExporter

KEY = "00000000-0000-0000-0000-0000000010ca"


def lines(count: int, key: str = KEY, age: float = 0.0) -> list[bytes]:
    """Return so many journal lines."""
    data = [{"message": f"line {n}", "severityLevel": 1, "properties": {"n": str(n)}} for n in range(count)]
    return [
        envelope.encode_record(time.time() - age, key, {"ai.operation.id": "a" * 32}, "MessageData", d)
        for d in data
    ]


def states(result: ExportResult, count: int) -> list[str]:
    """Return the state of each line."""
    return [result.exceptions.get(index, result.default).state for index in range(count)]


def reasons(result: ExportResult) -> set[str]:
    """Return the reasons of all lines that were not delivered."""
    return {verdict.reason for verdict in result.exceptions.values()}


@pytest.fixture
def exporter(azure: AzureOnThisMachine) -> Iterator[OpenTelemetryExporter]:
    """Return an exporter to this machine, with connection strings that end in `;` as the portal copies them."""
    os.environ["APPLICATIONINSIGHTS_CONNECTION_STRING"] = f"InstrumentationKey={KEY.upper()};"
    exporter = OpenTelemetryExporter(parse_connection_string(azure.connection_string + ";"))
    yield exporter
    exporter.close()


def test_lines_arrive_unchanged(azure: AzureOnThisMachine, exporter: OpenTelemetryExporter) -> None:
    """The service gets the envelopes of the journal unchanged, each once."""
    sent = lines(1000)
    assert exporter.export(sent, 10) == ExportResult()
    assert [envelope.decode_line(line) for line in sent] == [dict(record) for record in azure.envelopes]


def test_line_without_a_key_gets_it(azure: AzureOnThisMachine) -> None:
    """A line that was written before a key was known is sent, and a line for another resource is not."""
    exporter = OpenTelemetryExporter(parse_connection_string(azure.connection_string), since=time.time() - 60)
    unaddressed, other = lines(1, key=""), lines(1, key=KEY.replace("1", "2"))
    assert [exporter.wants(line) for line in (*unaddressed, *other)] == [True, False]
    assert exporter.export(unaddressed, 10) == ExportResult()
    assert [record["iKey"] for record in azure.envelopes] == [KEY]


def test_client_starts_nothing_else(child: Any, azure: AzureOnThisMachine, tmp_path: Path) -> None:
    """The exporter has no storage, no thread and no line in the log, even if the service fails."""
    azure.faults.put(Fault(status=503))
    (tmp_path / "tmp").mkdir()
    script = f"""
import logging, threading, time
from amllog.record import envelope
from amllog.exporters.app_insights.otel_exporter import OpenTelemetryExporter
from amllog.config.parsers import parse_connection_string
logging.basicConfig(level=logging.INFO)
exporter = OpenTelemetryExporter(parse_connection_string({azure.connection_string!r}))
line = envelope.encode_record(time.time(), {KEY!r}, {{}}, "MessageData", {{"message": "m", "properties": {{}}}})
print(exporter.export([line], 5).exceptions[0].reason)
print([thread.name for thread in threading.enumerate()])
"""
    ran = child(script, env={"TMPDIR": str(tmp_path / "tmp")})
    assert ran.stdout == "503 service unavailable\n['MainThread']\n", ran
    assert ran.stderr == ""
    assert list((tmp_path / "tmp").iterdir()) == []
    assert len(azure.requests_log) == 1


def test_changed_package_is_reported(child: Any, tmp_path: Path) -> None:
    """If the package has no client, setup() reports its version and the solution."""
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
def test_verdicts_are_those_of_the_http_exporter(
    azure: AzureOnThisMachine, exporter: OpenTelemetryExporter, fault: Fault, state: str, reason: str | None
) -> None:
    """Each response leaves the lines waiting or refused, as with the other exporter."""
    azure.faults.put(fault)
    started = time.monotonic()
    result = exporter.export(lines(2), 30)
    assert states(result, 2) == [state, state]
    assert reason is None or reasons(result) == {reason}
    assert time.monotonic() - started < 200
    if fault.headers.get("Retry-After"):
        assert result.pause_seconds == 7
    azure.faults.clear()
    assert states(exporter.export(lines(2), 5), 2) == ["delivered", "delivered"]


def test_invalid_item_is_refused_alone(azure: AzureOnThisMachine, exporter: OpenTelemetryExporter) -> None:
    """In a partially accepted batch, each line gets the verdict of its item."""
    azure.faults.put(
        Fault(item='"line 1"', status=400, message="103: Field 'x' is bad. Expected: 1, Actual: 2")
    )
    result = exporter.export(lines(3), 5)
    assert states(result, 3) == ["delivered", "refused", "delivered"]
    assert reasons(result) == {"400: 103: Field 'x' is bad"}


@pytest.mark.parametrize("hang", ["before headers", "after headers"])
def test_hanging_service_is_limited_in_time(
    azure: AzureOnThisMachine, exporter: OpenTelemetryExporter, hang: str
) -> None:
    """A silent service holds the delivery worker for the time limit of the export, not for azure-core's 300 seconds."""
    azure.faults.put(Fault(hang=hang))
    started = time.monotonic()
    result = exporter.export(lines(2), 1)
    assert states(result, 2) == ["waiting", "waiting"]
    assert time.monotonic() - started < 200
    azure.faults.clear()


def test_refused_connection_leaves_lines_waiting(
    azure: AzureOnThisMachine, exporter: OpenTelemetryExporter
) -> None:
    """A refused connection leaves all lines waiting, with a reason without addresses."""
    azure.stop()
    started = time.monotonic()
    assert reasons(exporter.export(lines(2), 30)) == {"connection refused"}
    assert time.monotonic() - started < 200


def test_old_lines_are_not_sent(azure: AzureOnThisMachine, exporter: OpenTelemetryExporter) -> None:
    """Lines that the service would reject because of their age are refused without a request."""
    result = exporter.export([*lines(1, age=49 * 3600), *lines(1)], 5)
    assert states(result, 2) == ["refused", "delivered"]
    assert reasons(result) == {ingestion_protocol.TOO_OLD}
    assert len(azure.envelopes) == 1


def test_export_after_close(exporter: OpenTelemetryExporter) -> None:
    """After `close()`, the next batch opens a new connection."""
    exporter.close()
    exporter.close()
    assert exporter.export(lines(1), 5) == ExportResult()


class Credential:
    """A token credential with the interface of azure.identity."""

    def __init__(self, get: Callable[[], str]) -> None:
        self.get = get

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """Return the token. The scope must be that of Azure Monitor."""
        from azure.core.credentials import AccessToken

        assert scopes == ("https://monitor.azure.com//.default",)
        return AccessToken(self.get(), int(time.time()) + 3600)


def test_no_token_without_tls(azure: AzureOnThisMachine) -> None:
    """Lines wait for plain HTTP with a credential, because the pipeline sends no token without TLS."""
    exporter = OpenTelemetryExporter(
        parse_connection_string(azure.connection_string), credential=Credential(lambda: "t")
    )
    assert states(exporter.export(lines(1), 5), 1) == ["waiting"]
    assert azure.envelopes == []


def test_failing_credential_leaves_lines_waiting(azure: AzureOnThisMachine) -> None:
    """If the credential fails, lines wait as not authorized."""

    def fail() -> str:
        raise exceptions.ClientAuthenticationError("no managed identity here")

    from azure.core import exceptions

    target = parse_connection_string(azure.connection_string)._replace(endpoint="https://127.0.0.1:9")
    result = OpenTelemetryExporter(target, credential=Credential(fail)).export(lines(1), 5)
    assert reasons(result) == {"401 not authorized"}


def test_session_with_the_setting(child: Any, azure: AzureOnThisMachine) -> None:
    """With `exporter=opentelemetry`, plain logging arrives once, with the dimensions."""
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
    data = azure.envelopes[kinds.index("MessageData")]["data"]["baseData"]
    assert data["message"] == "hello world"
    assert data["properties"]["rows"] == "3"
    assert data["properties"]["step_id"]
