"""`amllog deliver`: deliver the records that processes left behind when they ended.

The destinations come from the environment. The exit code is 1 if records are refused or still waiting.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from amllog.cli import output, status
from amllog.cli.status import OutletFilters
from amllog.context.detector import RunDetector
from amllog.delivery import account
from amllog.delivery.exporter import Exporter
from amllog.delivery.orphan_delivery import OrphanDelivery
from amllog.errors import ConfigError, UsageError
from amllog.exporters.app_insights.resend import resend_old
from amllog.insights.reports.rendering import pluralize
from amllog.journal.directory import claim, list_segments, open_read_only
from amllog.journal.outlets import APP_INSIGHTS
from amllog.session import compose


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Deliver the records of ended processes. Return 1 if records are refused or still waiting."""
    directory = status.journal_directory(options, environ)
    exporters = _exporters(directory, environ)
    filters: OutletFilters = {exporter.name: exporter.wants for exporter in exporters}
    before = status.tally_directory(directory, filters)
    if not options.json:
        output.print_answer(f"before: {status.format_account(before)}")
    delivery = OrphanDelivery(directory, status.node_name(environ), exporters, options.timeout)
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
    if options.json:
        output.print_answer(output.to_json({"before": before.as_dict(), "after": after.as_dict()}))
    else:
        output.print_answer(f"after:  {status.format_account(after)}")
    return int(after.waiting + after.refused > 0)


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
