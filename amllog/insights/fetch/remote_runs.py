"""`RemoteRuns`: the runs of a workspace, as both SDKs return them, and which of their files are fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from amllog.journal.signature import SEGMENT_NAME

ENDED = frozenset({"completed", "failed", "canceled"})  # the states after which no file changes
MAX_NAME = 1000  # characters of the name of a file
_LOG_FOLDERS = frozenset({"azureml-logs", "user_logs", "system_logs", "logs"})
# Control characters, and what Windows does not allow or takes for a drive.
_INVALID = re.compile(r"[\x00-\x1f\x7f\\:*?\"<>|]")


class RemoteRun(NamedTuple):
    """A run in the workspace. `state` is in lower case: `running`, `completed`, `failed`, `canceled` …"""

    run_id: str
    name: str
    state: str
    started: str = ""

    @property
    def has_ended(self) -> bool:
        """Return whether the files of the run are complete."""
        return self.state in ENDED


class RemoteRuns(Protocol):
    """The runs of a workspace. Each method may take any time and raise any exception of its SDK."""

    def run(self, run_id: str) -> RemoteRun:
        """Return a run."""

    def descendants(self, run_id: str) -> Sequence[RemoteRun]:
        """Return the runs below a run, at any depth."""

    def files(self, run_id: str) -> Sequence[str]:
        """Return the names of all files of a run."""

    def download(self, run_id: str, name: str, target: Path) -> None:
        """Write the content of a file to a path at which there is nothing."""


def is_wanted(name: str) -> bool:
    """Return whether a file is a log or a journal, by its name. Outputs, models and snapshots are not fetched."""
    path = PurePosixPath(name)
    is_journal = SEGMENT_NAME.match(path.with_suffix(".jsonl").name) and path.suffix in (".jsonl", ".ack")
    return bool(is_journal) or (len(path.parts) > 1 and path.parts[0] in _LOG_FOLDERS)


def defect_of_name(name: str) -> str:
    """Return why a name is no path below a folder, or ""."""
    parts = name.split("/")
    if not 0 < len(name) <= MAX_NAME:
        return f"has {len(name)} characters: 1 to {MAX_NAME} are allowed"
    if _INVALID.search(name):
        return "has a character that is not allowed in the name of a file"
    if any(part in ("", ".", "..") for part in parts):
        return "has an empty part, '.' or '..'"
    return ""
