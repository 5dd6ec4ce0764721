"""An outlet that cannot deliver in this process."""

from __future__ import annotations

from amllog.exporters.no_destination import NoDestination
from amllog.journal.outlets import APP_INSIGHTS, RUN_METRICS

from ..delivery.conftest import message_line  # isort: skip


def test_its_records_wait() -> None:
    """Its lines count in the account, and nothing is delivered or refused."""
    exporter, line = NoDestination(APP_INSIGHTS), message_line("waits")
    assert (exporter.counts(line), exporter.wants(line)) == (True, False)
    assert not NoDestination(RUN_METRICS).counts(line)
    assert exporter.export([line], 1.0).verdicts(1)[0].state == "waiting"
    exporter.close()
