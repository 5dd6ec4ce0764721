"""Suggest where to look next: commands with their purpose, links into the portal, and the run's page in the studio."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from amllog.errors import AmllogError
from amllog.insights.driver_logs import run_places
from amllog.insights.links import Portal
from amllog.insights.query import kql_literals
from amllog.insights.query.columns import EXCEPTION, REQUEST, TRACE
from amllog.insights.query.result import Row, Table
from amllog.insights.query.run_ids import root_of
from amllog.insights.questions import Questions
from amllog.insights.stores.store import Unasked

_TABLES = {"exception": EXCEPTION, "trace": TRACE, "request": REQUEST}
_TICK = timedelta(microseconds=1)


def next_steps(
    questions: Questions, run: str, steps: Table, cause: Row | None, before: Row | None, rows: Iterable[Row]
) -> list[str]:
    """Return the suggestions for a run, one line each.

    `cause` is the row of the failure, or the step that never ended. `before` is the run to compare with. `rows` are
    some logs, in which the address of the run's page may be.
    """
    lines, name = [], shlex.quote(run)
    root = root_of(run, steps[0]["parent_run_id"])
    selection = f"--step-id {name}" if run == steps[0]["step_id"] else ""
    if cause is not None:
        option, step = (
            ("--step-name" if cause["step_name"] else "--step-id"),
            cause["step_name"] or cause["step_id"],
        )
        selection = f"{option} {shlex.quote(step)}"
        lines.append(f"amllog logs {name} {selection}   all logs of that step")
    command = run_places.driver_command(Path(), root, selection)
    lines += [f"{command}   all lines that it has printed"] if command else []
    lines.append(f"amllog timeline {name}   steps, spans, events and warnings")
    if before is not None:
        parent = shlex.quote(root_of(run, steps[0]["parent_run_id"]))
        earlier = shlex.quote(before["parent_run_id"])
        lines.append(f"amllog compare {earlier} {parent}   with the run before it ({before['state']})")
    known = [row for row in (cause, *rows) if row is not None]
    if questions.portal is not None:
        lines += _portal_links(questions, questions.portal, run, cause, known)
    urls = (row.get("dimensions", {}).get("run_url", "") for row in known)
    return lines + [f"the run's page: {url}" for url in dict.fromkeys(urls) if url.startswith("http")][:1]


def _portal_links(
    questions: Questions, portal: Portal, run: str, cause: Row | None, known: list[Row]
) -> list[str]:
    step = {"step_id": cause["step_id"]} if cause and cause["step_id"] else {}
    logs = Questions(Unasked(), portal).logs(run, **step)
    lines = [f"all logs of {'that step' if step else 'the run'}, in the portal: {logs.portal_link}"]
    transaction = _transaction(questions, portal, cause)
    if transaction:
        return [*lines, f"end-to-end transaction: {transaction}"]
    operation = next((row["operation_Id"] for row in known if row.get("operation_Id")), "")
    if operation:
        lines.append(f"all records of its operation, in the portal: {portal.operation(operation)}")
    return lines


def _transaction(questions: Questions, portal: Portal, cause: Row | None) -> str:
    """Return the link to the transaction that begins with the failure. "" if its `itemId` is not known.

    Only the service of an Application Insights resource returns an `itemId`.
    """
    if cause is None or questions.journals is not None or portal.resource.is_workspace:
        return ""
    table = _TABLES.get(cause.get("itemType", ""), "")
    if not table or not cause["operation_Id"]:
        return ""
    time = cause["timestamp"]
    text = (
        f"{table}\n"
        f"| where timestamp >= {kql_literals.instant(time)} and timestamp < {kql_literals.instant(time + _TICK)}\n"
        f"| where operation_Id == {kql_literals.literal(cause['operation_Id'])}\n"
        "| project itemId\n"
        "| take 1"
    )
    try:
        items = [str(row["itemId"]) for row in questions.store.query(text)]
    except AmllogError:
        # The service may have the names of a workspace only, and a story is complete without the link.
        return ""
    return portal.transaction(items[0], time, table) if items and items[0] else ""
