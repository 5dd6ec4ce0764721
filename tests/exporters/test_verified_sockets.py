"""Kept connections after the script has closed or replaced their descriptors: nothing of the script's is touched."""

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
    """A journal line of this minute."""
    base = {"message": f"line {number}", "severityLevel": 1, "properties": {"record_id": f"r{number}"}}
    return envelope.encode_record(time.time(), INSTRUMENTATION_KEY, {}, "MessageData", base)


def texts(azure: AzureOnThisMachine) -> list[str]:
    """The messages that arrived."""
    return [one["data"]["baseData"]["message"] for one in azure.envelopes]


def connections(target: Any) -> list[int]:
    """The descriptors of this process that are connected to the target: the server's own are not."""
    port, found = urlsplit(target.endpoint).port, []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile, or not connected
            if not stat.S_ISSOCK(os.stat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as made:
                found += [int(name)] if made.getpeername()[1] == port else []
    return found


class Script:
    """What a script puts in the place of our descriptors, and whether it is as the script left it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[int] = []
        self._pairs: list[tuple[int, int]] = []

    def close(self, fd: int) -> None:
        """Close the descriptor; nothing takes its place."""
        os.close(fd)

    def file(self, fd: int) -> None:
        """Put a file there."""
        made = os.open(self._folder / f"user-{fd}", os.O_RDWR | os.O_CREAT, 0o600)
        os.write(made, b"mine\n")
        os.dup2(made, fd)
        os.close(made)
        self._files.append(fd)

    def pair(self, fd: int) -> None:
        """Put a socket there that has something to read."""
        here, there = socket.socketpair()
        there.send(b"mine")
        os.dup2(here.fileno(), fd)
        here.close()
        self._pairs.append((fd, there.detach()))

    def check(self) -> None:
        """Everything is open, blocking as it was, and holds what the script wrote."""
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
    """The script's own descriptors."""
    return Script(tmp_path)


TAKEN: dict[str, Callable[[Script, int], None]] = {
    "closed": Script.close,
    "a file": Script.file,
    "a socket": Script.pair,
}


@pytest.fixture(params=["plain", "TLS"])
def target(request: Any, azure: AzureOnThisMachine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where records are sent, with and without TLS."""
    if request.param == "plain":
        return parse_connection_string(azure.connection_string)
    token = azure.ingestion_endpoint[len(azure.url) :]
    https = azure._upload_url().replace("this-machine.blob.local@", "") + token
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azure._bundle))
    return parse_connection_string(f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={https}")


@pytest.fixture(params=["opencensus", "opentelemetry"])
def outlet(request: Any, target: Any) -> Iterator[tuple[Any, list[str]]]:
    """Both outlets of Application Insights, and their notices."""
    told: list[str] = []
    if request.param == "opencensus":
        made = AppInsightsExporter(target, notice=told.append)
    else:
        if sys.version_info < (3, 10):
            pytest.skip("the exporter needs Python 3.10")
        from amllog.exporters.app_insights.otel_exporter import OpenTelemetryExporter

        made = OpenTelemetryExporter(target, notice=told.append)
    yield made, told
    made.close()


@pytest.mark.parametrize("taken", TAKEN)
def test_between_requests(
    azure: AzureOnThisMachine, target: Any, outlet: Any, script: Script, taken: str
) -> None:
    """A connection whose descriptor was taken is replaced: all is sent once, and one notice says why."""
    made, told = outlet
    made.export([line(1)], 30)
    (fd,) = connections(target)
    TAKEN[taken](script, fd)
    answer = made.export([line(2)], 30)
    assert answer.default.state == "delivered", answer
    assert texts(azure) == ["line 1", "line 2"]
    assert len(told) == 1
    script.check()


@pytest.mark.parametrize("taken", ["a file", "a socket"])
def test_at_the_end(target: Any, outlet: Any, script: Script, taken: str) -> None:
    """Closing the outlet, and collecting what is left of it, closes no descriptor of the script's."""
    made, _ = outlet
    made.export([line(1)], 30)
    (fd,) = connections(target)
    TAKEN[taken](script, fd)
    made.close()
    del made
    gc.collect()
    script.check()
