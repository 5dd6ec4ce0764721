"""A scheduled query rule and a workbook for errors by run_type and step, from the queries of the questions.

UsageError names the invalid argument. Source of members and versions: learn.microsoft.com, azure/templates,
Microsoft.Insights.
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
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions
from amllog.insights.stores.store import Unasked

if TYPE_CHECKING:
    from typing_extensions import Unpack

RULE, RULE_VERSION = "Microsoft.Insights/scheduledQueryRules", "2023-12-01"
WORKBOOK, WORKBOOK_VERSION = "Microsoft.Insights/workbooks", "2023-06-01"
GROUP_BY = ("run_type", "step_name")
MINUTES = (1, 5, 10, 15, 30, 45, 60, 120, 180, 240, 300, 360, 1440)  # between two runs of a rule
WINDOWS = (*MINUTES, 2880)  # in minutes
_SHORTEST_UNION = timedelta(minutes=5)  # between two runs of a rule with `union`

_ERRORS = (TRACE, EXCEPTION, REQUEST)
ERROR_TABLES = {"everything": _ERRORS, "logs": (TRACE,), "exceptions": (EXCEPTION,), "steps": (REQUEST,)}
_LOCATION = Parameter(
    "string", "The region of the resource that has the logs.",
    Expression("resourceGroup().location", "resourceGroup().location"),
)  # fmt: skip
_NAME = re.compile(r"[^*<>%{}&:\\?/#\x00-\x1f]{0,259}[^*<>%{}&:\\?/#\x00-\x1f .]")


def errors_query(of: str = "everything", **filters: Unpack[Filters]) -> Query:
    """Return the query of all errors with run_type and step, for a rule that counts rows.

    It has no time range, because the window of the rule sets it. `of` is a key of `ERROR_TABLES`. All keys except
    "everything" read one table.
    """
    if of not in ERROR_TABLES:
        raise UsageError(f"of={of!r}: one of {', '.join(ERROR_TABLES)}")
    selected = ("timestamp", *GROUP_BY, "message", "type", "experiment_name", "parent_run_id", "step_id")
    return Query(ERROR_TABLES[of], selected, conditions=(Holds("is_error"), *_conditions(filters)))


def errors_by_step_query(**filters: Unpack[Filters]) -> Query:
    """Return the query of the number and the times of errors per run_type and step, the most first."""
    totals = (
        Total("errors", "count"),
        Total("first_seen", "min", "timestamp"),
        Total("last_seen", "max", "timestamp"),
    )
    return Query(
        _ERRORS, ("timestamp", *GROUP_BY), conditions=(Holds("is_error"), *_conditions(filters)),
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
    **filters: Unpack[Filters],
) -> Template:
    """Return a rule that fires per run_type and step for more than `threshold` errors in `window`.

    The rule runs `every` so often, and resolves the alert when the errors stop.

    * `severity`: 0 (critical) to 4 (verbose).
    * `action_groups`: the ids of the action groups to notify.
    * `of`: "everything", or only "logs", "exceptions" or "steps". Those read one table. Azure does not run rules with
      `union` every minute. So below 5 minutes, the rule fails until the first record of its table exists.
    * `filters`: the errors that count, as in a question, without times.

    All arguments except `of` and the filters are also parameters of the template.
    """
    target = _target(resource_id, name)
    if severity not in range(5):
        raise UsageError(f"severity={severity!r}: 0 (critical) to 4 (verbose)")
    if threshold < 0:
        raise UsageError(f"threshold={threshold!r}: a whole number, at least 0")
    query = errors_query(of, **filters)
    length, interval = _times(window, every, query)
    parameters = {
        "resourceId": _resource_parameter(target),
        "location": _LOCATION,
        "ruleName": Parameter("string", "The rule's name.", name),
        "severity": Parameter("int", "0 (critical) to 4 (verbose).", severity, (0, 1, 2, 3, 4)),
        "threshold": Parameter("int", "The rule fires for more errors than this.", threshold),
        "windowSize": Parameter(
            "string", "The time range in which errors are counted.", iso_duration(length)
        ),
        "evaluationFrequency": Parameter("string", "How often errors are counted.", iso_duration(interval)),
        "actionGroups": Parameter("array", "The ids of the action groups to notify.", list(action_groups)),
    }
    criterion = {
        "query": _kql(target, query, is_fuzzy=interval >= _SHORTEST_UNION),
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
        "targetResourceTypes": [target.type],
        "evaluationFrequency": parameter("evaluationFrequency"),
        "windowSize": parameter("windowSize"),
        "criteria": {"allOf": [criterion]},
        "skipQueryValidation": True,  # a table exists after its first record only
        "autoMitigate": True,
        "actions": {"actionGroups": parameter("actionGroups")},
    }
    body = {
        "name": parameter("ruleName"),
        "location": parameter("location"),
        "kind": "LogAlert",
        "properties": properties,
    }
    description = "Errors by run_type and step, as a scheduled query rule. Generated by amllog alert."
    return Template(description, parameters, {}, "rule", RULE, RULE_VERSION, body)


def workbook(resource_id: str, *, name: str = "Azure ML errors", **filters: Unpack[Filters]) -> Template:
    """Return a workbook with errors by run_type and step, exceptions by type and location, latest errors and runs.

    The time range is chosen on its page. `filters` are those of `alert`.
    """
    target = _target(resource_id, name)
    _conditions(filters)
    questions, by_step = Questions(Unasked()), _kql(target, errors_by_step_query(**filters), is_fuzzy=True)
    tables = (
        ("Errors by run_type and step", by_step, "table"),
        ("Errors by step", f"{by_step}\n| summarize errors = sum(errors) by step_name", "barchart"),
        ("Exceptions by type and location", _kql_of(target, questions.exceptions(**filters)), "table"),
        ("The latest errors", _kql_of(target, questions.errors(newest_first=True, limit=250, **filters)), "table"),
        ("Runs", _kql_of(target, questions.runs(**filters)), "table"),
    )  # fmt: skip
    content = {
        "version": "Notebook/1.0",
        "items": [_time_item(), *(_query_item(target, *table) for table in tables)],
        "fallbackResourceIds": [parameter("resourceId")],
    }
    parameters = {
        "resourceId": _resource_parameter(target),
        "location": _LOCATION,
        "workbookName": Parameter("string", "The workbook's name.", name),
    }
    resource_name = Expression(
        "guid(resourceGroup().id, parameters('workbookName'))", "guid(resourceGroup().id, workbookName)"
    )
    body = {
        "name": resource_name,
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
    description = "Errors by run_type and step, as a workbook. Generated by amllog workbook."
    return Template(
        description, parameters, {"content": content}, "workbook", WORKBOOK, WORKBOOK_VERSION, body
    )


def _target(resource_id: str, name: str) -> AzureResource:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"name={name!r}: 1 to 260 characters without *<>%{{}}&:\\?/#, no space or period at the end"
        )
    return resource(resource_id)


def _resource_parameter(target: AzureResource) -> Parameter:
    kind = "Log Analytics workspace" if target.is_workspace else "Application Insights resource"
    return Parameter("string", f"The {kind} that has the logs. The queries need this kind.", target.id)


def _time_item() -> dict[str, Any]:
    """Return the time picker of the page."""
    choices = [{"durationMs": hours * 3_600_000} for hours in (1, 4, 12, 24, 48, 168, 720)]
    picker = {
        "id": "6d7a9f0e-3a0b-4f6e-9d54-0b7c0d7a2f11", "version": "KqlParameterItem/1.0", "name": "TimeRange",
        "label": "Time", "type": 4, "isRequired": True, "value": {"durationMs": 604_800_000},
        "typeSettings": {"selectableValues": choices, "allowCustom": True},
    }  # fmt: skip
    content = {"version": "KqlParameterItem/1.0", "parameters": [picker], "style": "pills"}
    return {"type": 9, "content": content, "name": "time"}


def _query_item(target: AzureResource, title: str, query: str, visualization: str) -> dict[str, Any]:
    """Return one query of the page."""
    content = {
        "version": "KqlItem/1.0", "query": query, "size": 0, "title": title, "timeContextFromParameter": "TimeRange",
        "queryType": 0, "resourceType": target.type, "crossComponentResources": [parameter("resourceId")],
        "visualization": visualization,
    }  # fmt: skip
    return {"type": 3, "content": content, "name": title.lower().replace(" ", "-")}


def _conditions(filters: Mapping[str, Any]) -> tuple[Any, ...]:
    times = [name for name in ("last", "since", "until") if filters.get(name)]
    if times:
        raise UsageError(
            f"{', '.join(times)}: not allowed here; the alert's window or the workbook's page sets the time range"
        )
    return apply_filters(filters).conditions


def _kql(target: AzureResource, query: Query, *, is_fuzzy: bool) -> str:
    return (kql.workspace if target.is_workspace else kql.classic)(query, is_fuzzy=is_fuzzy)


def _kql_of(target: AzureResource, table: Table) -> str:
    return table.texts.fuzzy_kql(workspace=target.is_workspace)


def _times(window: str | timedelta, every: str | timedelta, query: Query) -> tuple[timedelta, timedelta]:
    length, interval = _minutes("window", window, WINDOWS), _minutes("every", every, MINUTES)
    if interval > length:
        raise UsageError(f"every={every!r}: at most the window, {window!r}, or errors would be missed")
    if interval < _SHORTEST_UNION and len(query.tables) > 1:
        raise UsageError(
            f"every={every!r}: at least 5m, or of= logs, exceptions or steps (every minute, Azure runs only rules that "
            "read one table)"
        )
    return length, interval


def _minutes(name: str, value: str | timedelta, allowed: Sequence[int]) -> timedelta:
    duration = parse_duration(value)
    if duration / timedelta(minutes=1) not in allowed:
        raise UsageError(
            f"{name}={value!r}: one of {', '.join(map(str, allowed))} minutes, such as 15m or 1h"
        )
    return duration
