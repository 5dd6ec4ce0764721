"""`amllog status`: report the delivered, waiting and refused records of a journal directory.

The report has the account of each outlet and of each file. The exit code is 1 if any record was refused,
and 2 if no file could be read.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from amllog.cli import directory_content, output
from amllog.cli.directory_argument import journal_directory
from amllog.config.settings import Settings
from amllog.context.detector import RunDetector
from amllog.delivery import account
from amllog.delivery.account import Account, OutletAccount, Wants
from amllog.insights.reports.rendering import pluralize
from amllog.journal.directory import claim, defects, list_segments, open_read_only
from amllog.journal.outlets import ADDRESSED, APP_INSIGHTS
from amllog.journal.segment import Segment
from amllog.record.envelope import instrumentation_key
from amllog.record.text import escape_controls

_FILE_COLUMNS = ("file", "writer", "records", "waiting", "refused")
OutletFilters = Mapping[str, Wants]


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Print the account of a directory. Return 1 if any record was refused."""
    directory = journal_directory(options, environ)
    total = tally_directory(directory, ADDRESSED)
    details = report(directory, environ, total)
    details["explanation"] = directory_content.explain(directory, details)
    if options.json:
        output.print_answer(output.to_json(details))
    else:
        _print_report(details, total)
    if details["notes"] and not details["files"]:
        return 2
    return int(details["refused"] > 0)


def format_account(total: Account) -> str:
    """Return the account as a string. Reasons from files and names of directories cannot start a line in it."""
    outlets = {
        escape_controls(name): OutletAccount(
            outlet.delivered,
            outlet.waiting,
            {escape_controls(reason): number for reason, number in outlet.refused.items()},
            escape_controls(outlet.trouble),
        )
        for name, outlet in total.outlets.items()
    }
    return str(Account(total.accepted, outlets, escape_controls(total.directory)))


def tally_directory(directory: Path, filters: OutletFilters) -> Account:
    """Return the account of all segments in a directory."""
    return account.tally(_segments(directory), filters, Counter(), str(directory))


def report(directory: Path, environ: Mapping[str, str], total: Account | None = None) -> dict[str, Any]:
    """Return the account of a directory and of each file as JSON values, with notes about unreadable files.

    `total` is the account of the directory, if the caller has it.
    """
    total = total or tally_directory(directory, ADDRESSED)
    node = node_name(environ)
    notes: list[str] = []
    files = [file for path in list_segments(directory) if (file := _file_report(path, node, notes.append))]
    return {
        **total.as_dict(),
        "waiting": total.waiting,
        "refused": total.refused,
        "unaddressed": sum(file.pop("unaddressed") for file in files),
        "files": files,
        "notes": notes,
    }


def node_name(environ: Mapping[str, str]) -> str:
    """Return the name of this machine in the names of journal files. It does not depend on valid settings."""
    return RunDetector(environ, print).from_environment(Settings()).node


def _segments(directory: Path) -> Iterator[Segment]:
    """Open the segments of a directory one at a time."""
    for segment in map(open_read_only, list_segments(directory)):
        if segment is not None:
            yield segment
            segment.close()


def _file_report(path: Path, node: str, note: Callable[[str], None]) -> dict[str, Any]:
    """Return the account of one file and the state of its writer. A missing or unreadable file gives {}."""
    claimed = claim(path, node)
    segment = claimed or open_read_only(path, note)
    if segment is None:
        return {}
    for defect in defects(segment):
        note(defect)
    # A segment with a checkpoint error is not claimed, so it is unknown whether a process holds it.
    writer = "gone" if claimed else "unknown" if segment.checkpoint_error else "alive"
    total = account.tally([segment], ADDRESSED, Counter(), "")
    rest = segment.lines_from(segment.position(APP_INSIGHTS).offset)
    unaddressed = sum(instrumentation_key(line) == b"" for line in rest)
    segment.close()
    return {
        "file": path.name,
        "writer": writer,
        "records": total.accepted,
        "waiting": total.waiting,
        "refused": total.refused,
        "unaddressed": unaddressed,
    }


def _print_report(details: Mapping[str, Any], total: Account) -> None:
    output.print_answer(format_account(total))
    for note in details["notes"]:
        output.print_notice(note)
    files = details["files"]
    alive = sum(file["writer"] == "alive" for file in files)
    output.print_answer(
        f"{pluralize(len(files), 'file')}, {alive} of them being written by a running process"
    )
    if details["unaddressed"]:
        records = pluralize(details["unaddressed"], "record")
        output.print_answer(
            f"{records} written without a connection string and kept here: set one and run `amllog deliver`"
        )
    listed = [file for file in files if file["waiting"] or file["refused"] or file["writer"] == "alive"]
    if listed:
        output.print_answer(output.format_table(listed, _FILE_COLUMNS))
    if any(file["waiting"] and file["writer"] == "gone" for file in files):
        output.print_answer("deliver the records of processes that have ended with: amllog deliver")
    for sentence in details["explanation"]:
        output.print_answer(sentence)
