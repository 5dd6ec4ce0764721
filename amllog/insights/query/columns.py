"""The columns of an answer, as one KQL and one SQL expression for each kind of record.

The KQL has the names of an Application Insights resource. `kql` replaces them for a workspace. The SQL is for the
relation `records`, whose columns have the same names. No expression contains input of a user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

TRACE, EXCEPTION, EVENT, METRIC = "traces", "exceptions", "customEvents", "customMetrics"
REQUEST, DEPENDENCY = "requests", "dependencies"
ALL_TABLES = (TRACE, EXCEPTION, EVENT, METRIC, REQUEST, DEPENDENCY)
LEVEL = "level"

# Dimensions that are also columns of `records`, so that they are read without parsing all dimensions.
DIMENSION_COLUMNS = (
    "parent_run_id",
    "step_id",
    "step_name",
    "experiment_name",
    "run_type",
    "root_run_id",
    "logger",
    "record_id",
)
WHOLE_NUMBER = r"\s*([+-]?[0-9]+|0[xX][0-9a-fA-F]+)\s*"  # strings that are whole numbers


class ColumnExpression(NamedTuple):
    """One expression in KQL and in SQL."""

    kql: str
    sql: str


class ResultColumn(NamedTuple):
    """A column of an answer: its type and its expression in the rows of each table.

    `otherwise` is the expression for tables that are not in `sources`. With `only`, these tables have no such column.
    Then the expression of the tables that have it is valid for a whole union.
    """

    type: str
    sources: Mapping[str, ColumnExpression]
    otherwise: ColumnExpression
    only: bool = False

    def source(self, table: str) -> ColumnExpression:
        """Return the expression for the rows of one table."""
        return self.sources.get(table, self.otherwise)


_EMPTY_STRING, _FALSE = ColumnExpression('""', "''"), ColumnExpression("false", "false")
_NULL_NUMBER = ColumnExpression("real(null)", "CAST(NULL AS DOUBLE)")
_NULL_BOOL = ColumnExpression("bool(null)", "CAST(NULL AS BOOLEAN)")
_FAILED = ColumnExpression('tostring(success) =~ "false"', "coalesce(lower(success) = 'false', false)")


def _text_column(name: str) -> ColumnExpression:
    """Return a string column that has the same name in KQL and in `records`."""
    return ColumnExpression(name, f"coalesce({name}, '')")


def dimension(key: str) -> ColumnExpression:
    """Return a dimension as a string. The key must be a valid identifier."""
    sql = key if key in DIMENSION_COLUMNS else f"customDimensions->>'{key}'"
    return ColumnExpression(f"tostring(customDimensions.{key})", f"coalesce({sql}, '')")


_CALL_MESSAGE = dimension("message")
_NAME = dict.fromkeys((EVENT, METRIC, REQUEST, DEPENDENCY), _text_column("name"))
_SECONDS = ColumnExpression("duration / 1000", "duration / 1000")
_RAW_STACK = ColumnExpression("tostring(details[0].rawStack)", "coalesce(details->>'$[0].rawStack', '')")
_PARSED_STACK = ColumnExpression(
    "tostring(details[0].parsedStack)", "coalesce(details->>'$[0].parsedStack', '')"
)
_OPENCENSUS_PARENT = r"^\|[0-9a-f]{32}\.([0-9a-f]{16})\.$"  # of OpenCensus. Other SDKs write the plain id.
_VALUE = dimension("value")
_STEP = "customDimensions->>'step'"
# The same numbers as in KQL: no fractions, which a cast would round, and no exponents.
_STEP_NUMBER = rf"CASE WHEN regexp_full_match({_STEP}, '{WHOLE_NUMBER}') THEN TRY_CAST({_STEP} AS BIGINT) END"
_HAS_VALUE = ColumnExpression(f"isnotempty({_VALUE.kql})", f"{_VALUE.sql} <> ''")
_HAS_ROWS = ColumnExpression(
    """tostring(customDimensions.run_metric_data) startswith_cs '{"columns":'""",
    f"""starts_with({dimension("run_metric_data").sql}, '{{"columns":')""",
)


def _run_metric(*tests: ColumnExpression) -> ColumnExpression:
    """Return the test that an event is a run metric and that one of `tests` holds."""
    has_data = ColumnExpression(
        "isnotempty(tostring(customDimensions.run_metric_data))", f"{dimension('run_metric_data').sql} <> ''"
    )
    return ColumnExpression(
        f"{has_data.kql} and ({' or '.join(test.kql for test in tests)})",
        f"({has_data.sql} AND ({' OR '.join(test.sql for test in tests)}))",
    )


CATALOGUE: dict[str, ResultColumn] = {
    "timestamp": ResultColumn("time", {}, ColumnExpression("timestamp", "timestamp")),
    "itemType": ResultColumn("text", {}, ColumnExpression("itemType", "itemType")),
    "message": ResultColumn(
        "text",
        {
            TRACE: _text_column("message"),
            EXCEPTION: ColumnExpression(
                f"iff(isempty({_CALL_MESSAGE.kql}), outerMessage, {_CALL_MESSAGE.kql})",
                f"coalesce(nullif({_CALL_MESSAGE.sql}, ''), outerMessage, '')",
            ),
            **_NAME,
        },
        _EMPTY_STRING,
    ),
    "name": ResultColumn("text", _NAME, _EMPTY_STRING, only=True),
    "type": ResultColumn(
        "text", {EXCEPTION: _text_column("type"), DEPENDENCY: _text_column("type")}, _EMPTY_STRING, only=True
    ),
    "problemId": ResultColumn("text", {EXCEPTION: _text_column("problemId")}, _EMPTY_STRING, only=True),
    "outerMessage": ResultColumn("text", {EXCEPTION: _text_column("outerMessage")}, _EMPTY_STRING, only=True),
    "stack": ResultColumn(
        "stack",
        {
            EXCEPTION: ColumnExpression(
                f"iff(isempty({_RAW_STACK.kql}), {_PARSED_STACK.kql}, {_RAW_STACK.kql})",
                f"coalesce(nullif({_RAW_STACK.sql}, ''), {_PARSED_STACK.sql})",
            )
        },
        _EMPTY_STRING,
        only=True,
    ),
    "value": ResultColumn(
        "real",
        {
            METRIC: ColumnExpression("valueSum", "valueSum"),
            EVENT: ColumnExpression(f"todouble({_VALUE.kql})", f"TRY_CAST({_VALUE.sql} AS DOUBLE)"),
        },
        _NULL_NUMBER,
    ),
    "step": ResultColumn(
        "int",
        {},
        ColumnExpression("tolong(tostring(customDimensions.step))", _STEP_NUMBER),
    ),
    "duration_seconds": ResultColumn(
        "real", {REQUEST: _SECONDS, DEPENDENCY: _SECONDS}, _NULL_NUMBER, only=True
    ),
    "step_seconds": ResultColumn("real", {REQUEST: _SECONDS}, _NULL_NUMBER),
    "success": ResultColumn(
        "bool",
        dict.fromkeys(
            (REQUEST, DEPENDENCY), ColumnExpression("tobool(success)", "TRY_CAST(success AS BOOLEAN)")
        ),
        _NULL_BOOL,
        only=True,
    ),
    "resultCode": ResultColumn(
        "text", dict.fromkeys((REQUEST, DEPENDENCY), _text_column("resultCode")), _EMPTY_STRING, only=True
    ),
    "id": ResultColumn(
        "text", dict.fromkeys((REQUEST, DEPENDENCY), _text_column("id")), _EMPTY_STRING, only=True
    ),
    "operation_Id": ResultColumn("text", {}, _text_column("operation_Id")),
    "operation_ParentId": ResultColumn(
        "text",
        {},
        ColumnExpression(
            rf'replace_regex(operation_ParentId, @"{_OPENCENSUS_PARENT}", @"\1")',
            rf"regexp_replace(coalesce(operation_ParentId, ''), '{_OPENCENSUS_PARENT}', '\1')",
        ),
    ),
    "dimensions": ResultColumn("dimensions", {}, ColumnExpression("customDimensions", "customDimensions")),
    "is_error": ResultColumn(  # in SQL a column of `records`, by which compacted files are sorted
        "bool",
        {
            TRACE: ColumnExpression("severityLevel >= 3", "is_error"),
            EXCEPTION: ColumnExpression("true", "is_error"),
            REQUEST: ColumnExpression(_FAILED.kql, "is_error"),
        },
        ColumnExpression("false", "is_error"),
    ),
    "is_warning": ResultColumn(
        "bool", {TRACE: ColumnExpression("severityLevel == 2", "coalesce(severityLevel = 2, false)")}, _FALSE
    ),
    "is_notable": ResultColumn(  # the records in a timeline
        "bool",
        {
            TRACE: ColumnExpression("severityLevel >= 2", "coalesce(severityLevel >= 2, false)"),
            EVENT: ColumnExpression(
                "isempty(tostring(customDimensions.run_metric_data))",
                "coalesce(customDimensions->>'run_metric_data', '') = ''",
            ),
            **dict.fromkeys((EXCEPTION, REQUEST, DEPENDENCY), ColumnExpression("true", "true")),
        },
        _FALSE,
    ),
    "is_metric": ResultColumn(  # a NaN is an event, because JSON has no number for it
        "bool", {METRIC: ColumnExpression("true", "true"), EVENT: _run_metric(_HAS_VALUE)}, _FALSE
    ),
    "has_metrics": ResultColumn(  # with lists, rows and tables (`metric_rows.unfold`)
        "bool", {METRIC: ColumnExpression("true", "true"), EVENT: _run_metric(_HAS_VALUE, _HAS_ROWS)}, _FALSE
    ),
    "has_ended": ResultColumn("bool", {REQUEST: ColumnExpression("true", "true")}, _FALSE),
    "has_failed": ResultColumn("bool", {REQUEST: _FAILED}, _FALSE),
    "is_bad": ResultColumn(  # an error without a severity
        "bool", {EXCEPTION: ColumnExpression("true", "true"), REQUEST: _FAILED, DEPENDENCY: _FAILED}, _FALSE
    ),
    "top_run_id": ResultColumn(  # the root run, or the parent if the record names no other root
        "text",
        {},
        ColumnExpression(
            "iff(isempty(tostring(customDimensions.root_run_id)), tostring(customDimensions.parent_run_id), "
            "tostring(customDimensions.root_run_id))",
            "coalesce(nullif(root_run_id, ''), parent_run_id, '')",
        ),
    ),
    # Computed from severityLevel and is_bad in `kql` and `sql`.
    LEVEL: ResultColumn("text", {}, _EMPTY_STRING),
    **{
        name: ResultColumn("text", {}, dimension(name))
        for name in (*DIMENSION_COLUMNS, "run_url", "node", "rank")
    },
}

# The expressions that `contains` searches.
SEARCHED: dict[str, tuple[ColumnExpression, ...]] = {
    TRACE: (_text_column("message"),),
    EXCEPTION: (
        _CALL_MESSAGE,
        _text_column("outerMessage"),
        _text_column("innermostMessage"),
        _text_column("type"),
        _RAW_STACK,
    ),
    **{table: (source,) for table, source in _NAME.items()},
}
# The severity of a record that has none.
DEFAULT_SEVERITIES = {TRACE: 1, EXCEPTION: 3}
