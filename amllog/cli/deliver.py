"""`amllog deliver`: deliver the records that processes left behind when they ended.

The destinations come from the environment. The exit code is 1 if records are refused or still waiting.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from amllog.cli import output, status
from amllog.cli.directory_argument import journal_directory
from amllog.cli.status import OutletFilters
from amllog.context.detector import RunDetector
from amllog.delivery import account
from amllog.delivery.account import Account
from amllog.delivery.exporter import Exporter
from amllog.delivery.orphan_delivery import OrphanDelivery
from amllog.errors import ConfigError, UsageError
from amllog.exporters.app_insights.resend import resend_old
from amllog.insights.fetch.fetched_folder import unfinished_run
from amllog.insights.reports.rendering import pluralize
from amllog.journal.directory import claim, list_segments, open_read_only
from amllog.journal.outlets import APP_INSIGHTS
from amllog.session import compose

_RECEIVED = "received"  # a folder of the local Azure


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Deliver the records of ended processes. Return 1 if records are refused or still waiting."""
    directory = journal_directory(options, environ)
    is_named = bool(options.directory or options.named_directory)
    journals = [directory] if list_segments(directory) or not is_named else journals_below(directory)
    for journal in journals:
        _check_run(journal)
    deadline, is_delivered, values = time.monotonic() + options.timeout, True, []
    for journal in journals or [directory]:
        if journal != directory:
            output.print_notice(f"directory {journal}")
        before, after = _deliver(journal, options, environ, max(deadline - time.monotonic(), 0.1))
        is_delivered = is_delivered and not after.waiting + after.refused
        values.append({"before": before.as_dict(), "after": after.as_dict()})
    if options.json:
        output.print_answer(output.to_json(values[0] if len(values) == 1 else values))
    return int(not is_delivered)


def journals_below(directory: Path) -> list[Path]:
    """Return the journal directories below a directory, as in a fetched run. Links are not followed.

    The folder in which a local Azure keeps what it received is none.
    """
    journals = []
    for place, folders, _ in os.walk(directory):
        folders[:] = sorted(name for name in folders if name != _RECEIVED)
        if list_segments(Path(place)):
            journals.append(Path(place))
    return journals


def _check_run(directory: Path) -> None:
    """Raise UsageError for the journal of a run that had not ended when it was fetched.

    The run delivers its records itself, and the fetched checkpoint does not know which ones.
    """
    run_id = unfinished_run(directory)
    if run_id:
        raise UsageError(
            f"{directory} is of run {run_id}, which had not ended when it was fetched: "
            "fetch it again after its end, or its records are sent twice"
        )


def _deliver(
    directory: Path, options: Namespace, environ: Mapping[str, str], seconds: float
) -> tuple[Account, Account]:
    """Deliver the records of one directory, and return and print its accounts before and after."""
    exporters = _exporters(directory, environ)
    filters: OutletFilters = {exporter.name: exporter.wants for exporter in exporters}
    before = status.tally_directory(directory, filters)
    if not options.json:
        output.print_answer(f"before: {status.format_account(before)}")
    delivery = OrphanDelivery(directory, status.node_name(environ), exporters, seconds)
    try:
        delivery.deliver(output.print_notice)
        for exporter in exporters:
            if options.resend_old and exporter.name == APP_INSIGHTS:
                node, remaining = status.node_name(environ), delivery.remaining_seconds()
                sent = resend_old(directory, node, exporter, remaining, output.print_notice)
                output.print_notice(f"{pluralize(sent, 'old record')} sent with the current time")
    finally:
        for exporter in exporters:
            exporter.close()
    after = status.tally_directory(directory, filters)
    if after.waiting:
        _report_writers(directory, status.node_name(environ), filters)
    if not options.json:
        output.print_answer(f"after:  {status.format_account(after)}")
    return before, after


def _exporters(directory: Path, environ: Mapping[str, str]) -> list[Exporter]:
    """Create the exporters that the environment names. Raises UsageError if it names none.

    An invalid connection string raises ConfigError also in a job, because the command can do nothing without it.
    """
    settings = compose.read_settings({}, environ)
    if settings.is_invalid("connection_string"):
        raise ConfigError(settings.problems)
    for problem in settings.problems:
        output.print_notice(str(problem))
    exporter, metrics = compose.exporter_kind(settings), compose.metrics_kind(settings, environ)
    exporters = [compose.insights_exporter(settings, exporter, 0.0)] if exporter != "none" else []
    if metrics != "none":
        connect = RunDetector(environ, output.print_notice).connect
        exporters.append(compose.metrics_exporter(metrics, directory, None, connect))
    if not exporters:
        raise UsageError(
            "no destination: set APPLICATIONINSIGHTS_CONNECTION_STRING, or run this in the job for run metrics"
        )
    return exporters


def _report_writers(directory: Path, node: str, filters: OutletFilters) -> None:
    """Print which files were not delivered because the processes that write them deliver them."""
    for path in list_segments(directory):
        claimed = claim(path, node)
        segment = claimed or open_read_only(path)
        if segment is not None:
            if (
                not claimed
                and not segment.checkpoint_error
                and account.tally([segment], filters, Counter(), "").waiting
            ):
                output.print_notice(f"{path} is not sent: another process has its lock and delivers it")
            segment.close()
