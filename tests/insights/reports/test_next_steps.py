"""The suggestions at the end of a story."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from amllog.insights import connect

from ..conftest import failure, step  # isort: skip


def test_links_into_the_portal(journal: Callable[..., Path]) -> None:
    """With a resource, a story links to the logs of the failed step and to its operation."""
    path = journal(step("train", success=False), failure("no"))
    component = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/ai"
    assert not any("portal" in line for line in connect(path, environ={}).story().next)
    insights = connect(path, environ={"AMLLOG_RESOURCE_ID": component})
    lines, operation = (line for line in insights.story().next if "portal" in line)
    assert lines.startswith("all logs of that step, in the portal: https://portal.azure.com/#/blade/")
    assert operation.startswith(
        "all records of its operation, in the portal: https://portal.azure.com/#/blade/"
    )
