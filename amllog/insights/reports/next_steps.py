"""Where to look next: commands with their reasons, links into the portal, the run's page in the studio.

In: the questions over any store, what the story of a run knows. Out: lines of text.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from datetime import timedelta

from amllog.errors import AmllogError
from amllog.insights.links import Portal
from amllog.insights.query import kql
from amllog.insights.query.columns import EXCEPTION, REQUEST, TRACE
from amllog.insights.query.result import Row, Table
from amllog.insights.questions import Questions
from amllog.insights.stores.store import Unasked

_TABLES = {"exception": EXCEPTION, "trace": TRACE, "request": REQUEST}
_TICK = timedelta(microseconds=1)


def next_steps(
    questions: Questions, run: str, steps: Table, told: Row | None, before: Row | None, rows: Iterable[Row]
) -> list[str]:
    """`told`: what failed, or the step that never ended; `before`: the run to compare with; `rows`: some logs."""
    found = []
    if told is not None:
        step = shlex.quote(told["step_name"] or told["step_id"])
        option = "--step-name" if told["step_name"] else "--step-id"
        found.append(f"amllog logs {run} {option} {step}   every line of that step")
    found.append(f"amllog timeline {run}   what lies within what")
    if before is not None:
        parent = steps[0]["parent_run_id"]
        found.append(
            f"amllog compare {before['parent_run_id']} {parent}   with the run before it ({before['state']})"
        )
    known = [row for row in (told, *rows) if row is not None]
    if questions.portal is not None:
        found += _portal(questions, questions.portal, run, told, known)
    urls = (row.get("dimensions", {}).get("run_url", "") for row in known)
    return found + [f"the run's page: {url}" for url in dict.fromkeys(urls) if url.startswith("http")][:1]


def _portal(questions: Questions, portal: Portal, run: str, told: Row | None, known: list[Row]) -> list[str]:
    narrow = {"step_id": told["step_id"]} if told and told["step_id"] else {}
    asked = Questions(Unasked(), portal).logs(run, **narrow)
    which = "that step" if narrow else "the run"
    found = [f"every line of {which}, in the portal: {asked.portal_link}"]
    transaction = _transaction(questions, portal, told)
    if transaction:
        return [*found, f"end-to-end transaction: {transaction}"]
    operation = next((row["operation_Id"] for row in known if row.get("operation_Id")), "")
    return [
        *found,
        *([f"all of its operation, in the portal: {portal.operation(operation)}"] if operation else []),
    ]


def _transaction(questions: Questions, portal: Portal, told: Row | None) -> str:
    """Begins with what failed: its `itemId`, which only the service of an Application Insights resource has."""
    if told is None or questions.journals is not None or portal.resource.is_workspace:
        return ""
    table = _TABLES.get(told.get("itemType", ""), "")
    if not table or not told["operation_Id"]:
        return ""
    at = told["timestamp"]
    text = "\n| ".join((
        table, f"where timestamp >= {kql.instant(at)} and timestamp < {kql.instant(at + _TICK)}",
        f"where operation_Id == {kql.literal(told['operation_Id'])}", "project itemId", "take 1",
    ))  # fmt: skip
    try:
        items = [str(row["itemId"]) for row in questions.store.query(text)]
    except AmllogError:  # a service that knows the workspace's names only: the story goes without this link
        return ""
    return portal.transaction(items[0], at, table) if items and items[0] else ""
