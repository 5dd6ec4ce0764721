"""The questions as queries without filters: their tables, columns, conditions, summaries and order."""

from __future__ import annotations

from amllog.insights.query.columns import (
    ALL_TABLES,
    DEPENDENCY,
    EVENT,
    EXCEPTION,
    METRIC,
    REQUEST,
    TRACE,
)
from amllog.insights.query.query import Alias, Dimension, Equals, Holds, Query, State, Summary, Total

LOG = ("timestamp", "level", "step_name", "message", "itemType", "type", "stack", "logger", "step_id",
       "parent_run_id", "operation_Id", "operation_ParentId", "dimensions")  # fmt: skip
ERRORS = (*LOG, "duration_seconds", "resultCode")
METRICS = ("timestamp", "step_name", "name", "value", "step", "step_id", "parent_run_id", "operation_Id",
           "operation_ParentId", "dimensions")  # fmt: skip
SPANS = ("timestamp", "step_name", "name", "duration_seconds", "success", "resultCode", "type", "id", "step_id",
         "parent_run_id", "operation_Id", "operation_ParentId", "dimensions")  # fmt: skip
EVENTS = ("timestamp", "step_name", "name", "step_id", "parent_run_id", "operation_Id", "operation_ParentId",
          "dimensions")  # fmt: skip
TIMELINE = ("timestamp", "itemType", "level", "step_name", "message", "type", "outerMessage", "duration_seconds",
            "success", "resultCode", "id", "step_id", "parent_run_id", "operation_Id", "operation_ParentId",
            "dimensions")  # fmt: skip
RECORDS = (*TIMELINE, "value", "step", "stack", "logger")

# The columns that the summaries of steps and runs read.
SUMMARIZED = ("timestamp", "parent_run_id", "step_id", "step_name", "experiment_name", "run_type", "step_seconds",
              "is_error", "is_warning", "has_ended", "has_failed")  # fmt: skip
STEP_SUMMARY = Summary(
    ("parent_run_id", "step_id"),
    (Total("step_name", "max", "step_name"), Total("experiment_name", "max", "experiment_name"),
     Total("run_type", "max", "run_type"), Total("began", "min", "timestamp"), Total("last_seen", "max", "timestamp"),
     Total("duration_seconds", "max", "step_seconds"), Total("records", "count"),
     Total("errors", "countif", "is_error"), Total("warnings", "countif", "is_warning"),
     Total("ended", "countif", "has_ended"), Total("failed", "countif", "has_failed")),
    (State("state", (("failed > 0", "failed"), ("ended > 0", "done")), "open"),),
)  # fmt: skip
RUN_SUMMARY = Summary(
    ("parent_run_id",),
    (Total("experiment_name", "max", "experiment_name"), Total("run_type", "max", "run_type"),
     Total("began", "min", "began"), Total("last_seen", "max", "last_seen"), Total("steps", "count"),
     Total("ended", "countif", "ended > 0"), Total("failed", "countif", "failed > 0"),
     Total("records", "sum", "records"), Total("errors", "sum", "errors"), Total("warnings", "sum", "warnings")),
    (State("state", (("failed > 0", "failed"), ("ended < steps", "open")), "done"),),
)  # fmt: skip

# The columns of the latest exception of its kind.
LATEST = ("message", "step_name", "step_id", "parent_run_id", "stack")
EXCEPTION_SUMMARY = Summary(
    ("type", "problemId"),
    (Total("records", "count"), Total("first_seen", "min", "timestamp"), Total("last_seen", "max", "timestamp"),
     *(Total(name, "last", name) for name in LATEST)),
)  # fmt: skip

METRIC_KEY = ("step_name", "step_id", "name")
LAST_METRIC_SUMMARY = Summary(
    METRIC_KEY,
    (Total("records", "count"), Total("last_value", "last", "value"), Total("last_seen", "max", "timestamp")),
)

_BY_TIME = ("timestamp",)
RUNS_QUERY = Query(
    ALL_TABLES,
    tuple(Alias(name, "top_run_id") if name == "parent_run_id" else name for name in SUMMARIZED),
    conditions=(Equals(("parent_run_id",), ("",), negated=True),),
    summaries=(STEP_SUMMARY, RUN_SUMMARY),
    order=("began", "parent_run_id"),
)
STEPS_QUERY = Query(
    ALL_TABLES,
    SUMMARIZED,
    conditions=(Equals(("step_id",), ("",), negated=True),),
    summaries=(STEP_SUMMARY,),
    order=("began", "step_id"),
)
LOGS_QUERY = Query((TRACE, EXCEPTION), LOG, order=_BY_TIME)
ERRORS_QUERY = Query((TRACE, EXCEPTION, REQUEST), ERRORS, conditions=(Holds("is_error"),), order=_BY_TIME)
EXCEPTIONS_QUERY = Query(
    (EXCEPTION,),
    ("timestamp", *EXCEPTION_SUMMARY.by, *LATEST),
    summaries=(EXCEPTION_SUMMARY,),
    order=("-records", "type", "problemId"),
)
METRICS_QUERY = Query((METRIC, EVENT), METRICS, conditions=(Holds("has_metrics"),), order=_BY_TIME)
SPANS_QUERY = Query((DEPENDENCY,), SPANS, order=_BY_TIME)
EVENTS_QUERY = Query((EVENT,), EVENTS, conditions=(Holds("is_notable"),), order=_BY_TIME)
TIMELINE_QUERY = Query(
    (TRACE, EXCEPTION, EVENT, REQUEST, DEPENDENCY),
    TIMELINE,
    conditions=(Holds("is_notable"),),
    order=_BY_TIME,
)
RECORDS_QUERY = Query(ALL_TABLES, RECORDS, order=_BY_TIME)
LAST_METRICS_QUERY = Query(
    (METRIC, EVENT),
    ("timestamp", "value", *METRIC_KEY),
    conditions=(Holds("is_metric"),),
    summaries=(LAST_METRIC_SUMMARY,),
    order=("step_name", "name", "step_id"),
)
# Run metrics that are lists, rows or tables.
FOLDED_QUERY = Query(
    (EVENT,),
    METRICS,
    conditions=(Holds("has_metrics"), Equals((Dimension("value"),), ("",))),
    order=_BY_TIME,
)
