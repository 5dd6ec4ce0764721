"""Errors by run_type and step, watched: a scheduled query rule and a workbook, from the questions' own queries.

In: a resource's id, what narrows errors down, what the rule shall do. Out: a `Template` each. UsageError names what is
wrong. Members and versions: learn.microsoft.com, azure/templates, Microsoft.Insights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from amllog.errors import UsageError
from amllog.insights.alerts.templates import Expression, Parameter, Template, parameter, variable
from amllog.insights.links import AzureResource, iso_duration, resource
from amllog.insights.query import kql
from amllog.insights.query.columns import EXCEPTION, REQUEST, TRACE
from amllog.insights.query.filters import Filters, apply_filters, parse_duration
from amllog.insights.query.query import Holds, Query, Summary, Total
from amllog.insights.questions import Questions
from amllog.insights.stores.store import Unasked

if TYPE_CHECKING:
    from typing_extensions import Unpack

RULE_VERSION, WORKBOOK_VERSION = "2023-12-01", "2023-06-01"
GROUP_BY = ("run_type", "step_name")
MINUTES = (1, 5, 10, 15, 30, 45, 60, 120, 180, 240, 300, 360, 1440)  # how often the service runs a rule
WINDOWS = (*MINUTES, 2880)  # over how much time

_ERRORS = (TRACE, EXCEPTION, REQUEST)
ERROR_TABLES = {"everything": _ERRORS, "logs": (TRACE,), "exceptions": (EXCEPTION,), "steps": (REQUEST,)}
_LOCATION = Parameter(
    "string", "The region of the resource that has the logs.",
    Expression("resourceGroup().location", "resourceGroup().location"),
)  # fmt: skip
_NAME = re.compile(r"[^*<>%{}&:\\?/#\x00-\x1f]{0,259}[^*<>%{}&:\\?/#\x00-\x1f .]")


def errors_query(of: str = "everything", **narrow: Unpack[Filters]) -> Query:
    """Every error with its run_type and step, for a rule that counts rows; the rule's window is its time.

    `of`: a key of `OF`; all but "everything" read one table.
    """
    if of not in ERROR_TABLES:
        raise UsageError(f"of={of!r}: one of {', '.join(ERROR_TABLES)}")
    shown = ("timestamp", *GROUP_BY, "message", "type", "experiment_name", "parent_run_id", "step_id")
    return Query(ERROR_TABLES[of], shown, conditions=(Holds("is_error"), *_conditions(narrow)))


def errors_by_step_query(**narrow: Unpack[Filters]) -> Query:
    """How many errors each step of each run_type had, and when; the most first."""
    totals = (
        Total("errors", "count"),
        Total("first_seen", "min", "timestamp"),
        Total("last_seen", "max", "timestamp"),
    )
    return Query(
        _ERRORS, ("timestamp", *GROUP_BY), conditions=(Holds("is_error"), *_conditions(narrow)),
        summaries=(Summary(GROUP_BY, totals),), order=("-errors", *GROUP_BY),
    )  # fmt: skip


def alert(
    resource_id: str,
    *,
    name: str = "amllog-errors",
    severity: int = 2,
    window: str | timedelta = "15m",
    every: str | timedelta = "5m",
    threshold: int = 0,
    action_groups: Sequence[str] = (),
    of: str = "everything",
    **narrow: Unpack[Filters],
) -> Template:
    """A rule that fires, for each run_type and step on its own, when there are more than `threshold` errors in
    `window`, looked at `every` so often, and that takes the alert back when there are none any more.

    `severity`: 0 (critical) to 4 (verbose). `action_groups`: ids of whom to tell. All of these are parameters of the
    template, too. `narrow`: which errors count, as in a question, without times. `of`: "everything", or only "logs",
    "exceptions" or "steps", whose query reads one table: Azure runs none with `union` every minute, and says of rules
    in general that they should have none.
    """
    where = _where(resource_id, name)
    if severity not in range(5):
        raise UsageError(f"severity={severity!r}: 0 (critical) to 4 (verbose)")
    if threshold < 0:
        raise UsageError(f"threshold={threshold!r}: a whole number, at least 0")
    query = errors_query(of, **narrow)
    length, pause = _timed(window, every, query)
    parameters = {
        "resourceId": _scope(where),
        "location": _LOCATION,
        "ruleName": Parameter("string", "The rule's name.", name),
        "severity": Parameter("int", "0 (critical) to 4 (verbose).", severity, (0, 1, 2, 3, 4)),
        "threshold": Parameter("int", "It fires with more errors than this.", threshold),
        "windowSize": Parameter("string", "Over how much time errors are counted.", iso_duration(length)),
        "evaluationFrequency": Parameter("string", "How often they are counted.", iso_duration(pause)),
        "actionGroups": Parameter("array", "The ids of the action groups to tell.", list(action_groups)),
    }
    criterion = {
        "query": _text(where, query),
        "timeAggregation": "Count",
        "dimensions": [{"name": name, "operator": "Include", "values": ["*"]} for name in GROUP_BY],
        "operator": "GreaterThan",
        "threshold": parameter("threshold"),
        "failingPeriods": {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1},
    }
    properties = {
        "displayName": parameter("ruleName"),
        "description": "Errors by run_type and step: exceptions, logs at ERROR or above, steps that failed.",
        "enabled": True,
        "severity": parameter("severity"),
        "scopes": [parameter("resourceId")],
        "targetResourceTypes": [where.type],
        "evaluationFrequency": parameter("evaluationFrequency"),
        "windowSize": parameter("windowSize"),
        "criteria": {"allOf": [criterion]},
        "autoMitigate": True,
        "actions": {"actionGroups": parameter("actionGroups")},
    }
    body = {
        "name": parameter("ruleName"),
        "location": parameter("location"),
        "kind": "LogAlert",
        "properties": properties,
    }
    about = "Errors by run_type and step, as a scheduled query rule. Made by amllog alert."
    return Template(
        about, parameters, {}, "rule", "Microsoft.Insights/scheduledQueryRules", RULE_VERSION, body
    )


def workbook(resource_id: str, *, name: str = "Azure ML errors", **narrow: Unpack[Filters]) -> Template:
    """A workbook: errors by run_type and step as a chart and a table, exceptions by type and place, the latest errors,
    the runs. Its time is chosen on the page. `narrow`: as for `alert`."""
    where = _where(resource_id, name)
    _conditions(narrow)
    ask, by_step = Questions(Unasked()), _text(where, errors_by_step_query(**narrow))
    tables = (
        ("Errors by run_type and step", by_step, "table"),
        ("Errors by step", f"{by_step}\n| summarize errors = sum(errors) by step_name", "barchart"),
        ("Exceptions by type and place", _asked(where, ask.exceptions(**narrow)), "table"),
        ("The latest errors", _asked(where, ask.errors(newest_first=True, limit=250, **narrow)), "table"),
        ("Runs", _asked(where, ask.runs(**narrow)), "table"),
    )  # fmt: skip
    content = {
        "version": "Notebook/1.0",
        "items": [_time_item(), *(_query_item(where, *one) for one in tables)],
        "fallbackResourceIds": [parameter("resourceId")],
    }
    parameters = {
        "resourceId": _scope(where),
        "location": _LOCATION,
        "workbookName": Parameter("string", "The workbook's name.", name),
    }
    named = Expression(
        "guid(resourceGroup().id, parameters('workbookName'))", "guid(resourceGroup().id, workbookName)"
    )
    body = {
        "name": named,
        "location": parameter("location"),
        "kind": "shared",
        "properties": {
            "displayName": parameter("workbookName"),
            "category": "workbook",
            "version": "Notebook/1.0",
            "sourceId": parameter("resourceId"),
            "serializedData": Expression(f"string({variable('content').arm})", "string(content)"),
        },
    }
    about = "Errors by run_type and step, as a workbook. Made by amllog workbook."
    return Template(
        about,
        parameters,
        {"content": content},
        "workbook",
        "Microsoft.Insights/workbooks",
        WORKBOOK_VERSION,
        body,
    )


def _where(resource_id: str, name: str) -> AzureResource:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"name={name!r}: 1 to 260 characters without *<>%{{}}&:\\?/#, no space or point at its end"
        )
    return resource(resource_id)


def _scope(where: AzureResource) -> Parameter:
    kind = "Log Analytics workspace" if where.is_workspace else "Application Insights resource"
    return Parameter(
        "string", f"The {kind} that has the logs; the queries are for one of this kind.", where.id
    )


def _time_item() -> dict[str, Any]:
    """The page's choice of time."""
    choices = [{"durationMs": hours * 3_600_000} for hours in (1, 4, 12, 24, 48, 168, 720)]
    chosen = {
        "id": "6d7a9f0e-3a0b-4f6e-9d54-0b7c0d7a2f11", "version": "KqlParameterItem/1.0", "name": "TimeRange",
        "label": "Time", "type": 4, "isRequired": True, "value": {"durationMs": 604_800_000},
        "typeSettings": {"selectableValues": choices, "allowCustom": True},
    }  # fmt: skip
    content = {"version": "KqlParameterItem/1.0", "parameters": [chosen], "style": "pills"}
    return {"type": 9, "content": content, "name": "time"}


def _query_item(where: AzureResource, title: str, query: str, shown: str) -> dict[str, Any]:
    """One query of the page."""
    content = {
        "version": "KqlItem/1.0", "query": query, "size": 0, "title": title, "timeContextFromParameter": "TimeRange",
        "queryType": 0, "resourceType": where.type, "crossComponentResources": [parameter("resourceId")],
        "visualization": shown,
    }  # fmt: skip
    return {"type": 3, "content": content, "name": title.lower().replace(" ", "-")}


def _conditions(narrow: Mapping[str, Any]) -> tuple[Any, ...]:
    given = [name for name in ("last", "since", "until") if narrow.get(name)]
    if given:
        raise UsageError(f"{', '.join(given)}: the rule's window, or the page's choice, is the time")
    return apply_filters("", narrow).conditions


def _text(where: AzureResource, query: Query) -> str:
    return kql.workspace(query) if where.is_workspace else kql.classic(query)


def _asked(where: AzureResource, table: Any) -> str:
    text: str = table.kql_workspace if where.is_workspace else table.kql
    return text


def _timed(window: str | timedelta, every: str | timedelta, query: Query) -> tuple[timedelta, timedelta]:
    length, pause = _minutes("window", window, WINDOWS), _minutes("every", every, MINUTES)
    if pause > length:
        raise UsageError(f"every={every!r}: at most the window, {window!r}, or errors would be missed")
    if pause < timedelta(minutes=5) and len(query.tables) > 1:
        raise UsageError(
            f"every={every!r}: at least 5m, or of= logs, exceptions or steps: every minute Azure runs only rules that "
            "read one table"
        )
    return length, pause


def _minutes(name: str, value: str | timedelta, allowed: Sequence[int]) -> timedelta:
    found = parse_duration(value)
    if found / timedelta(minutes=1) not in allowed:
        raise UsageError(
            f"{name}={value!r}: one of {', '.join(map(str, allowed))} minutes, such as 15m or 1h"
        )
    return found
