"""Fixtures of the end-to-end tests: received records, journaled records and environments."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

Envelope = dict[str, Any]

NOWHERE = "InstrumentationKey=00000000-0000-0000-0000-0000000010ca;IngestionEndpoint=http://127.0.0.1:9"
QUIET = {"AMLLOG_DRIVER_LEVEL": "ERROR"}
# Leaves records behind. The arguments are the name in the messages and their number.
LEAVE_RECORDS = """
import sys, os, amllog
log = amllog.setup()
for i in range(int(sys.argv[2])):
    log.info("%s %d", sys.argv[1], i)
os._exit(0)
"""
# Runs a command of amllog, whose arguments are those of the process, and prints its peak memory in kB on stderr.
# getrusage would include the peak of the parent process.
COMMAND_WITH_PEAK = """
import sys
from amllog.cli.main import main
try:
    main()
finally:
    print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


class Records:
    """Envelopes, with the properties that tests compare."""

    def __init__(self, envelopes: list[Envelope]) -> None:
        self.envelopes = envelopes

    def of_type(self, kind: str) -> list[Envelope]:
        """Return the baseData of one type, named without `Data`: `of_type("Message")`."""
        data = [envelope["data"] for envelope in self.envelopes]
        return [part["baseData"] for part in data if part["baseType"] == f"{kind}Data"]

    @property
    def messages(self) -> list[str]:
        """The messages of the traces, in order."""
        return [data["message"] for data in self.of_type("Message")]

    @property
    def ids(self) -> list[str]:
        """The record ids, in order."""
        return [envelope["data"]["baseData"]["properties"]["record_id"] for envelope in self.envelopes]

    def ids_of(self, kind: str) -> list[str]:
        """Return the record ids of one type, in order."""
        return [data["properties"]["record_id"] for data in self.of_type(kind)]

    @property
    def duplicates(self) -> list[str]:
        """The record ids that occur more than once."""
        return [record_id for record_id, count in Counter(self.ids).items() if count > 1]

    def properties(self, message: str) -> dict[str, str]:
        """Return the dimensions of the only trace with this message."""
        (trace,) = [data for data in self.of_type("Message") if data["message"] == message]
        properties: dict[str, str] = trace["properties"]
        return properties


class Received:
    """The records that the local Application Insights has received."""

    def __init__(self, azure: AzureOnThisMachine) -> None:
        self._azure = azure

    def __call__(self) -> Records:
        """Return all records received so far."""
        return Records(self._azure.envelopes)


@pytest.fixture
def received(azure: AzureOnThisMachine) -> Received:
    """Return the received records: `received().messages`."""
    return Received(azure)


@pytest.fixture
def connected(azure: AzureOnThisMachine) -> dict[str, str]:
    """Return the environment of a script with a connection string and a long grace.

    On a busy machine, not everything arrives within the default grace. The rest waits on disk.
    """
    return {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string,
        "AMLLOG_GRACE_SECONDS": "300",
    }


@pytest.fixture
def fork_environment() -> dict[str, str]:
    """Return the environment of a script that forks with an empty stderr.

    Python 3.13.0 counts the threads only after our thread has returned, and warns of it (CPython's issue 137109).
    """
    counts_late = sys.version_info[:2] == (3, 13)
    return {
        "AMLLOG_DRIVER_LEVEL": "ERROR",
        **({"PYTHONWARNINGS": "ignore::DeprecationWarning"} if counts_late else {}),
    }


class Journaled:
    """The records in the journals of the test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, directory: str = ".amllog") -> Records:
        """Return the records of all complete lines of all files."""
        lines = [
            line
            for file in sorted((self.folder / directory).glob("*.jsonl"))
            for line in file.read_bytes().splitlines(keepends=True)
        ]
        return Records([json.loads(line) for line in lines if line.endswith(b"\n")])


@pytest.fixture
def journaled(tmp_path: Path) -> Journaled:
    """Return the records of the journal: `journaled().messages`."""
    return Journaled(tmp_path)


class Terminal:
    """Runs scripts on a new terminal, of which `pyte` shows the screen."""

    columns, rows = 100, 40

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.output = b""

    def __call__(
        self, code: str, *, env: Mapping[str, str] | None = None, columns: int = columns
    ) -> list[str]:
        """Run a script to its end. Return the lines that the terminal shows, without blank ones at the end."""
        import fcntl
        import pty
        import struct
        import termios

        import pyte

        (self.folder / "script.py").write_text(code)
        master, slave = pty.openpty()
        fcntl.ioctl(
            slave, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows if columns else 0, columns, 0, 0)
        )
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1", **(env or {})}
        command = [sys.executable, "script.py"]
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, start_new_session=True, **streams
        )
        self.running.append(process)
        os.close(slave)
        self.output = b""
        while select.select([master], [], [], 600)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:  # on Linux, the end of the output is an error
                break
            if not piece:
                break
            self.output += piece
        process.wait(timeout=600)
        os.close(master)
        screen = pyte.Screen(columns or 80, 2000)
        pyte.ByteStream(screen).feed(self.output)
        cells = [screen.buffer[number] for number in range(2000)]
        lines = [
            "".join(row[column].data for column in range(max(row, default=-1) + 1)).rstrip() for row in cells
        ]
        while lines and not lines[-1]:
            lines.pop()
        return lines


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A function that runs code on a terminal and returns the lines that it shows in the end."""
    terminal = Terminal(tmp_path)
    yield terminal
    for process in terminal.running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
