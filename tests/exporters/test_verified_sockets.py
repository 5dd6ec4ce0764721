"""Kept connections leave the script's descriptors alone after the script has closed or replaced theirs."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from amllog.config.parsers import parse_connection_string
from amllog.exporters.app_insights.http_exporter import AppInsightsExporter
from amllog.local import AzureOnThisMachine
from amllog.local.azure import INSTRUMENTATION_KEY
from amllog.record import envelope


def line(number: int) -> bytes:
    """Return a journal line of this minute."""
    base = {"message": f"line {number}", "severityLevel": 1, "properties": {"record_id": f"r{number}"}}
    return envelope.encode_record(time.time(), INSTRUMENTATION_KEY, {}, "MessageData", base)


def messages(azure: AzureOnThisMachine) -> list[str]:
    """Return the messages that arrived."""
    return [envelope["data"]["baseData"]["message"] for envelope in azure.envelopes]


def connections(target: Any) -> list[int]:
    """Return the descriptors of this process that are connected to the target, without those of the server."""
    port, descriptors = urlsplit(target.endpoint).port, []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile, or not connected
            if not stat.S_ISSOCK(os.stat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as sock:
                is_internet = sock.family in (socket.AF_INET, socket.AF_INET6)
                descriptors += [int(name)] if is_internet and sock.getpeername()[1] == port else []
    return descriptors


class Script:
    """A script that replaces our descriptors, and checks that nobody used its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[int] = []
        self._pairs: list[tuple[int, int]] = []

    def close(self, fd: int) -> None:
        """Close the descriptor without replacing it."""
        os.close(fd)

    def file(self, fd: int) -> None:
        """Replace the descriptor with a file."""
        file = os.open(self._folder / f"user-{fd}", os.O_RDWR | os.O_CREAT, 0o600)
        os.write(file, b"mine\n")
        os.dup2(file, fd)
        os.close(file)
        self._files.append(fd)

    def pair(self, fd: int) -> None:
        """Replace the descriptor with a socket that has bytes to read."""
        here, there = socket.socketpair()
        there.send(b"mine")
        os.dup2(here.fileno(), fd)
        here.close()
        self._pairs.append((fd, there.detach()))

    def check(self) -> None:
        """Check that each descriptor is open and blocking, and contains what the script wrote."""
        for fd in self._files:
            assert os.pread(fd, 1000, 0) == b"mine\n"
            assert os.get_blocking(fd)
            os.close(fd)
        for here, there in self._pairs:
            assert os.get_blocking(here)
            assert os.read(here, 1000) == b"mine"
            os.set_blocking(there, False)
            with pytest.raises(BlockingIOError):
                os.read(there, 1000)
            os.write(here, b"open")
            assert os.read(there, 1000) == b"open"
            os.close(here)
            os.close(there)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Return a script with descriptors."""
    return Script(tmp_path)


TAKEN: dict[str, Callable[[Script, int], None]] = {
    "closed": Script.close,
    "a file": Script.file,
    "a socket": Script.pair,
}


@pytest.fixture(params=["plain", "TLS"])
def target(request: Any, azure: AzureOnThisMachine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the target of records, with and without TLS."""
    if request.param == "plain":
        return parse_connection_string(azure.connection_string)
    token = azure.ingestion_endpoint[len(azure.url) :]
    https = azure._upload_url().replace("this-machine.blob.local@", "") + token
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azure._bundle))
    return parse_connection_string(f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={https}")


@pytest.fixture(params=["opencensus", "opentelemetry"])
def exporter(request: Any, target: Any) -> Iterator[tuple[Any, list[str]]]:
    """Return each exporter for Application Insights, and its notices."""
    notices: list[str] = []
    if request.param == "opencensus":
        connected: Any = AppInsightsExporter(target, notice=notices.append)
    else:
        if sys.version_info < (3, 10):
            pytest.skip("the exporter needs Python 3.10")
        from amllog.exporters.app_insights.otel_exporter import OpenTelemetryExporter

        connected = OpenTelemetryExporter(target, notice=notices.append)
    yield connected, notices
    connected.close()


@pytest.mark.parametrize("taken", TAKEN)
def test_lost_connection_is_replaced(
    azure: AzureOnThisMachine, target: Any, exporter: Any, script: Script, taken: str
) -> None:
    """A connection whose descriptor was taken is replaced, and one notice reports it."""
    connected, notices = exporter
    connected.export([line(1)], 30)
    (fd,) = connections(target)
    TAKEN[taken](script, fd)
    result = connected.export([line(2)], 30)
    assert result.default.state == "delivered", result
    assert messages(azure) == ["line 1", "line 2"]
    assert len(notices) == 1
    script.check()


@pytest.mark.parametrize("taken", ["a file", "a socket"])
def test_close_leaves_the_script_descriptors(target: Any, exporter: Any, script: Script, taken: str) -> None:
    """Neither closing nor deleting the exporter closes a descriptor of the script."""
    connected, _ = exporter
    connected.export([line(1)], 30)
    (fd,) = connections(target)
    TAKEN[taken](script, fd)
    connected.close()
    del connected
    gc.collect()
    script.check()
