"""Fixtures of the end-to-end tests: received records, journaled records and environments."""

from __future__ import annotations

import json
import sys
from collections import Counter
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
