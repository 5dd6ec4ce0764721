"""`amllog status` and `amllog deliver`: what became of the records in a journal directory.

In: the directory, the environment. Out: the account, per outlet and per file; 1 where something was refused.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from amllog.cli import rows
from amllog.config import user_path
from amllog.config.settings import Settings, resolve_settings
from amllog.config.variables import candidate_directories
from amllog.context import identity
from amllog.context.detector import RunDetector, process_info
from amllog.delivery import account
from amllog.delivery.account import Account, OutletAccount, Wants
from amllog.delivery.exporter import Exporter
from amllog.delivery.orphan_delivery import OrphanDelivery
from amllog.errors import UsageError
from amllog.exporters.run_metrics.run_info import RunInfo
from amllog.journal.directory import claim, defects, journal_files, open_read_only
from amllog.journal.segment import Segment
from amllog.record.envelope import instrumentation_key, is_run_metric
from amllog.record.text import escape_controls
from amllog.session import compose

INSIGHTS, RUN_METRICS = "app_insights", "run_metrics"
_FILE_COLUMNS = ("file", "writer", "records", "waiting", "refused")
Wanting = Mapping[str, Wants]
# What a line itself says of where it is meant to go, whatever this environment would send it to.
_WANTS: Wanting = {INSIGHTS: lambda line: bool(instrumentation_key(line)), RUN_METRICS: is_run_metric}


def status(options: Namespace, environ: Mapping[str, str]) -> int:
    """The account of a directory; 1 if anything was refused."""
    directory = directory_of(options, environ)
    total = _account(directory, _WANTS)
    found = report(directory, environ, total)
    if options.json:
        rows.answer(rows.as_json(found))
    else:
        _tell(found, total)
    return int(found["refused"] > 0)


def deliver(options: Namespace, environ: Mapping[str, str]) -> int:
    """Send leftovers; 1 if something is refused or still waits."""
    directory = directory_of(options, environ)
    outlets = _outlets(directory, environ)
    wants: Wanting = {outlet.name: outlet.wants for outlet in outlets}
    before = _account(directory, wants)
    if not options.json:
        rows.answer(f"before: {_text(before)}")
    delivery = OrphanDelivery(directory, _node(environ), outlets, options.timeout)
    try:
        delivery.deliver(rows.notice)
        for outlet in outlets:
            if options.resend_old and outlet.name == INSIGHTS:
                count = delivery.resend_old(outlet, rows.notice)
                rows.notice(f"{rows.count(count, 'old record')} sent with the present time")
    finally:
        for outlet in outlets:
            outlet.close()
    after = _account(directory, wants)
    if after.waiting:
        _tell_of_writers(directory, _node(environ), wants)
    if options.json:
        rows.answer(rows.as_json({"before": before.as_dict(), "after": after.as_dict()}))
    else:
        rows.answer(f"after:  {_text(after)}")
    return int(after.waiting + after.refused > 0)


def directory_of(options: Namespace, environ: Mapping[str, str]) -> Path:
    """The journal directory that is meant. Raises UsageError if there is none."""
    names = [options.directory] if options.directory else candidate_directories(environ)
    usual = [user_path.expand_path(name) for name in names]
    found = next((path for path in usual if user_path.is_directory(path)), None)
    if found is None:
        looked = " or ".join(map(str, usual))
        raise UsageError(f"no journal in {looked}: name its directory, or set AMLLOG_DIR")
    try:
        os.scandir(found).close()
    except OSError as error:
        raise UsageError(f"{found} cannot be read: {error.strerror}") from error
    return found


def _outlets(directory: Path, environ: Mapping[str, str]) -> list[Exporter]:
    settings = resolve_settings({}, environ)
    compose.check(settings)
    exporter, metrics = compose.exporter_of(settings), compose.metrics_of(settings, environ)
    found = [compose.insights_outlet(settings, exporter, 0.0)] if exporter != "none" else []
    if metrics != "none":
        connect = RunDetector(environ, rows.notice).connect
        found.append(compose.metrics_outlet(metrics, directory, None, connect))
    if not found:
        raise UsageError(
            "nowhere to deliver to: set APPLICATIONINSIGHTS_CONNECTION_STRING, or run it in the job for run metrics"
        )
    return found


def _text(found: Account) -> str:
    """The account, in which a reason from a file or the directory's name cannot start a line."""
    outlets = {
        escape_controls(name): OutletAccount(
            one.delivered,
            one.waiting,
            {escape_controls(reason): count for reason, count in one.refused.items()},
            escape_controls(one.trouble),
        )
        for name, one in found.outlets.items()
    }
    return str(Account(found.accepted, outlets, escape_controls(found.directory)))


def _account(directory: Path, wants: Wanting) -> Account:
    return account.tally(_segments(directory), wants, Counter(), str(directory))


def report(directory: Path, environ: Mapping[str, str], total: Account | None = None) -> dict[str, Any]:
    """The account of a directory in terms of JSON, with what each file holds, and notes on what could not be read.

    `total`: the account, where the caller has it.
    """
    found = total or _account(directory, _WANTS)
    node = _node(environ)
    notes: list[str] = []
    files = [file for path in journal_files(directory) if (file := _file(path, node, notes.append))]
    return {
        **found.as_dict(),
        "waiting": found.waiting,
        "refused": found.refused,
        "unaddressed": sum(file.pop("unaddressed") for file in files),
        "files": files,
        "notes": notes,
    }


def _segments(directory: Path) -> Iterator[Segment]:
    """The files one after the other, each open for as long as it is looked at."""
    for segment in map(open_read_only, journal_files(directory)):
        if segment is not None:
            yield segment
            segment.close()


def _node(environ: Mapping[str, str]) -> str:
    """The name of this machine as journal files have it, also where settings are wrong."""
    return identity.resolve_identity(environ, process_info(), Settings(), RunInfo()).node


def _file(path: Path, node: str, note: Callable[[str], None]) -> dict[str, Any]:
    """Return the account of one file and the state of its writer. A file that is gone or cannot be read gives {}."""
    claimed = claim(path, node)
    segment = claimed or open_read_only(path, note)
    if segment is None:
        return {}
    for defect in defects(segment):
        note(defect)
    # A segment with a fault is not claimed: nobody knows whether another process holds it.
    writer = "gone" if claimed else "unknown" if segment.checkpoint_error else "alive"
    found = account.tally([segment], _WANTS, Counter(), "")
    rest = segment.lines_from(segment.position(INSIGHTS).offset)
    unaddressed = sum(instrumentation_key(line) == b"" for line in rest)
    segment.close()
    return {
        "file": path.name, "writer": writer, "records": found.accepted,
        "waiting": found.waiting, "refused": found.refused, "unaddressed": unaddressed,
    }  # fmt: skip


def _tell_of_writers(directory: Path, node: str, wants: Wanting) -> None:
    """Say which files were not sent because their writers send them."""
    for path in journal_files(directory):
        claimed = claim(path, node)
        segment = claimed or open_read_only(path)
        if segment is not None:
            if (
                not claimed
                and not segment.checkpoint_error
                and account.tally([segment], wants, Counter(), "").waiting
            ):
                rows.notice(f"{path} is not sent: another process has its lock, and sends it")
            segment.close()


def _tell(report: Mapping[str, Any], found: Account) -> None:
    rows.answer(_text(found))
    for note in report["notes"]:
        rows.notice(note)
    files = report["files"]
    alive = sum(file["writer"] == "alive" for file in files)
    rows.answer(f"{rows.count(len(files), 'file')}, {alive} of them being written by a living process")
    if report["unaddressed"]:
        records = rows.count(report["unaddressed"], "record")
        rows.answer(
            f"{records} written without a connection string: kept here; `amllog deliver` with one sends them"
        )
    telling = [file for file in files if file["waiting"] or file["refused"] or file["writer"] == "alive"]
    if telling:
        rows.answer(rows.table(telling, _FILE_COLUMNS))
    if any(file["waiting"] and file["writer"] == "gone" for file in files):
        rows.answer("what waits in files whose writer is gone is sent by: amllog deliver")
