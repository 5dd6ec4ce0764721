"""Report the files that ended processes left behind: waiting records, and files that can be deleted.

A file that can be deleted is not a fault, so it is not a warning. Nothing is deleted here.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from amllog.cli import status
from amllog.cli.doctor.checks import Check, ok, warn
from amllog.insights.reports.rendering import pluralize
from amllog.insights.stores.local import temporary_directory
from amllog.insights.stores.local.index_file import INDEX_NAME
from amllog.journal.artifact_copies import DIRECTORY
from amllog.journal.deletable import DELIVERED, ONLY_HERE, Deletable, fallback_directories, find_deletable
from amllog.journal.own_directories import GITIGNORE

MAX_NAMES = 3  # in the advice; all names are in the answer of --json
_ADVICE = {
    DELIVERED: "unless `amllog compact` was run, local commands then no longer show these records",
    ONLY_HERE: "for 48 hours, `amllog deliver` can send them with a connection string",
}


def check_directory(directory: Path, environ: Mapping[str, str]) -> Iterator[Check]:
    """Report waiting and refused records of a journal directory, and the files that can be deleted."""
    report = status.report(directory, environ)
    waiting = sum(file["waiting"] for file in report["files"] if file["writer"] == "gone")
    if report["refused"]:
        refused = pluralize(report["refused"], "record")
        yield warn("leftovers", f"{refused} refused", "see the reasons with: amllog status")
    elif waiting:
        yield warn("leftovers", _waiting(waiting), "amllog deliver")
    else:
        yield ok("leftovers", "no waiting records")
    files = list(find_deletable(directory, status.node_name(environ)))
    is_everything = bool(files) and _contains_only(directory, [file.path for file in files])
    yield from _check_files(
        files, str(directory), f"rm -r {shlex.quote(str(directory))}" if is_everything else ""
    )


def check_temporary_directories(environ: Mapping[str, str]) -> Iterator[Check]:
    """Report journals in the directories that are used if no other one can be written, and abandoned directories."""
    files: list[Deletable] = []
    for directory in fallback_directories():
        report = status.report(directory, environ)
        waiting = sum(file["waiting"] for file in report["files"] if file["writer"] == "gone")
        if waiting:
            advice = f"amllog deliver {shlex.quote(str(directory))}"
            yield warn("leftovers", f"{_waiting(waiting)} in {directory}", advice)
        files += find_deletable(directory, status.node_name(environ))
    yield from _check_files(files, tempfile.gettempdir(), "")
    abandoned = [str(path) for path in temporary_directory.abandoned()]
    if abandoned:
        folders = pluralize(len(abandoned), "temporary folder")
        advice = "the next reading command deletes them"
        yield ok("disk", f"{folders} of killed commands can be deleted", advice, abandoned)


def _check_files(files: Sequence[Deletable], place: str, command: str) -> Iterator[Check]:
    """Report files that can be deleted, one check for each reason. `command` deletes all of them."""
    for reason in dict.fromkeys(file.reason for file in files):
        selected = [file for file in files if file.reason == reason]
        size = format_bytes(sum(file.size for file in selected))
        finding = f"{pluralize(len(selected), 'file')} in {place} can be deleted ({size}): {reason}"
        names = [file.path.name for file in selected]
        listed = ", ".join(names) if len(names) <= MAX_NAMES else "all names: amllog doctor --json"
        advice = "; ".join(
            part
            for part in (_ADVICE.get(reason, ""), f"delete them with: {command}" if command else listed)
            if part
        )
        yield ok("disk", finding, advice, [str(file.path) for file in selected])


def _contains_only(directory: Path, paths: Iterable[Path]) -> bool:
    """Return whether a directory contains these files, what amllog adds to any journal, and nothing else."""
    known = {GITIGNORE, INDEX_NAME, *(path.relative_to(directory).as_posix() for path in paths)}
    for folder, directories, names in os.walk(directory):
        place = Path(folder).relative_to(directory)
        if not {(place / name).as_posix() for name in names} <= known:
            return False
        if not {(place / name).as_posix() for name in directories} <= {DIRECTORY}:
            return False
    return True


def _waiting(number: int) -> str:
    records = pluralize(number, "record")
    return f"{records} of processes that have ended {'is' if number == 1 else 'are'} waiting"


def format_bytes(number: int) -> str:
    """Return a number of bytes with a unit, such as `1.2 MiB`."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
