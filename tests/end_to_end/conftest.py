"""What the tests of whole processes share: what arrived, and what the journal holds."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from amllog.local import AzureOnThisMachine

Envelope = dict[str, Any]


class Records:
    """Envelopes, and the questions that tests ask of them."""

    def __init__(self, envelopes: list[Envelope]) -> None:
        self.envelopes = envelopes

    def of(self, kind: str) -> list[Envelope]:
        """The baseData of one kind, without `Data`: `of("Message")`."""
        found = [one["data"] for one in self.envelopes]
        return [data["baseData"] for data in found if data["baseType"] == f"{kind}Data"]

    @property
    def messages(self) -> list[str]:
        """The texts of the traces, in order."""
        return [data["message"] for data in self.of("Message")]

    @property
    def ids(self) -> list[str]:
        """The record ids, in order."""
        return [one["data"]["baseData"]["properties"]["record_id"] for one in self.envelopes]

    def ids_of(self, kind: str) -> list[str]:
        """The record ids of one kind, in order."""
        return [data["properties"]["record_id"] for data in self.of(kind)]

    @property
    def twice(self) -> list[str]:
        """Record ids that are there more than once."""
        return [record_id for record_id, count in Counter(self.ids).items() if count > 1]

    def properties(self, message: str) -> dict[str, str]:
        """The dimensions of the one trace that says `message`."""
        (found,) = [data for data in self.of("Message") if data["message"] == message]
        properties: dict[str, str] = found["properties"]
        return properties


class Arrived:
    """What Application Insights on this machine got so far."""

    def __init__(self, azure: AzureOnThisMachine) -> None:
        self._azure = azure

    def __call__(self) -> Records:
        """All of it."""
        return Records(self._azure.envelopes)


@pytest.fixture
def arrived(azure: AzureOnThisMachine) -> Arrived:
    """What arrived: `arrived().messages`."""
    return Arrived(azure)


@pytest.fixture
def insights(azure: AzureOnThisMachine) -> dict[str, str]:
    """The environment of a script that has nothing but a connection string, and all the time a loaded machine takes.

    Within the 5 s of the default not everything arrives there: the rest waits on disk, as promised.
    """
    return {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string,
        "AMLLOG_GRACE_SECONDS": "300",
    }


@pytest.fixture
def forking() -> dict[str, str]:
    """The environment of a script that forks, and whose stderr is to be empty.

    Python 3.13.0 counts the threads only when our thread is back, and warns of it (CPython's issue 137109).
    """
    late = sys.version_info[:2] == (3, 13)
    return {
        "AMLLOG_DRIVER_LEVEL": "ERROR",
        **({"PYTHONWARNINGS": "ignore::DeprecationWarning"} if late else {}),
    }


class Kept:
    """What the journal of the test's folder holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, directory: str = ".amllog") -> Records:
        """Every whole line of every file."""
        lines = [
            line
            for file in sorted((self.folder / directory).glob("*.jsonl"))
            for line in file.read_bytes().splitlines(keepends=True)
        ]
        return Records([json.loads(line) for line in lines if line.endswith(b"\n")])


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """What is in the journal: `kept().messages`."""
    return Kept(tmp_path)
