"""What a question's columns are: for each kind of record, once as KQL and once as SQL.

In: nothing. Out: `CATALOGUE`, as data. KQL is that of an Application Insights resource (`kql` writes the workspace's
names); SQL is for the relation `records`, whose columns have the same names. No text of a user is in either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

TRACE, EXCEPTION, EVENT, METRIC = "traces", "exceptions", "customEvents", "customMetrics"
REQUEST, DEPENDENCY = "requests", "dependencies"
EVERY = (TRACE, EXCEPTION, EVENT, METRIC, REQUEST, DEPENDENCY)
LEVEL = "level"
SEVERITIES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# Dimensions that `records` has as columns of its own, so that they are read without parsing all dimensions.
OWN = ("parent_run_id", "step_id", "step_name", "experiment_name", "run_type", "logger", "record_id")
WHOLE = r"\s*([+-]?[0-9]+|0[xX][0-9a-fA-F]+)\s*"  # texts that are whole numbers


class Source(NamedTuple):
    """An expression in both languages."""

    kql: str
    sql: str


class Answered(NamedTuple):
    """A column of an answer: its type, what it is in the rows of each table, and what it is in those of the others.

    `only`: the others have no such column, so that in a union the expression for those that have it does for all.
    """

    type: str
    sources: Mapping[str, Source]
    otherwise: Source
    only: bool = False

    def source(self, table: str) -> Source:
        """The expression for the rows of one table."""
        return self.sources.get(table, self.otherwise)


_NO_TEXT, _FALSE = Source('""', "''"), Source("false", "false")
_NO_NUMBER = Source("real(null)", "CAST(NULL AS DOUBLE)")
_NO_BOOL = Source("bool(null)", "CAST(NULL AS BOOLEAN)")
_FAILED = Source('tostring(success) =~ "false"', "coalesce(lower(success) = 'false', false)")


def _both(name: str) -> Source:
    """A text column that has the same name in KQL and in `records`."""
    return Source(name, f"coalesce({name}, '')")


def dimension(key: str) -> Source:
    """A dimension with a plain name, as text."""
    sql = key if key in OWN else f"customDimensions->>'{key}'"
    return Source(f"tostring(customDimensions.{key})", f"coalesce({sql}, '')")


_OWN_MESSAGE = dimension("message")
_NAMED = dict.fromkeys((EVENT, METRIC, REQUEST, DEPENDENCY), _both("name"))
_TIMED = Source("duration / 1000", "duration / 1000")
_RAW = Source("tostring(details[0].rawStack)", "coalesce(details->>'$[0].rawStack', '')")
_FRAMES = Source("tostring(details[0].parsedStack)", "coalesce(details->>'$[0].parsedStack', '')")
_STOCK_PARENT = r"^\|[0-9a-f]{32}\.([0-9a-f]{16})\.$"  # as OpenCensus writes it; others write the bare id
_VALUE = dimension("value")
_STEP = "customDimensions->>'step'"
# As KQL has it: not what a cast would round, nor what has an exponent.
_WHOLE = rf"CASE WHEN regexp_full_match({_STEP}, '{WHOLE}') THEN TRY_CAST({_STEP} AS BIGINT) END"
_HAS_VALUE = Source(f"isnotempty({_VALUE.kql})", f"{_VALUE.sql} <> ''")
_FOLDED = Source(
    """tostring(customDimensions.run_metric_data) startswith_cs '{"columns":'""",
    f"""starts_with({dimension("run_metric_data").sql}, '{{"columns":')""",
)


def _one_of(*tests: Source) -> Source:
    """Whether an event has what only run metrics have, and one of these."""
    has_data = Source(
        "isnotempty(tostring(customDimensions.run_metric_data))", f"{dimension('run_metric_data').sql} <> ''"
    )
    return Source(
        f"{has_data.kql} and ({' or '.join(one.kql for one in tests)})",
        f"({has_data.sql} AND ({' OR '.join(one.sql for one in tests)}))",
    )


CATALOGUE: dict[str, Answered] = {
    "timestamp": Answered("time", {}, Source("timestamp", "timestamp")),
    "itemType": Answered("text", {}, Source("itemType", "itemType")),
    "message": Answered(
        "text",
        {
            TRACE: _both("message"),
            EXCEPTION: Source(
                f"iff(isempty({_OWN_MESSAGE.kql}), outerMessage, {_OWN_MESSAGE.kql})",
                f"coalesce(nullif({_OWN_MESSAGE.sql}, ''), outerMessage, '')",
            ),
            **_NAMED,
        },
        _NO_TEXT,
    ),
    "name": Answered("text", _NAMED, _NO_TEXT, only=True),
    "type": Answered("text", {EXCEPTION: _both("type"), DEPENDENCY: _both("type")}, _NO_TEXT, only=True),
    "problemId": Answered("text", {EXCEPTION: _both("problemId")}, _NO_TEXT, only=True),
    "outerMessage": Answered("text", {EXCEPTION: _both("outerMessage")}, _NO_TEXT, only=True),
    "stack": Answered(
        "stack",
        {
            EXCEPTION: Source(
                f"iff(isempty({_RAW.kql}), {_FRAMES.kql}, {_RAW.kql})",
                f"coalesce(nullif({_RAW.sql}, ''), {_FRAMES.sql})",
            )
        },
        _NO_TEXT,
        only=True,
    ),
    "value": Answered(
        "real",
        {
            METRIC: Source("valueSum", "valueSum"),
            EVENT: Source(f"todouble({_VALUE.kql})", f"TRY_CAST({_VALUE.sql} AS DOUBLE)"),
        },
        _NO_NUMBER,
    ),
    "step": Answered(
        "int",
        {},
        Source("tolong(tostring(customDimensions.step))", _WHOLE),
    ),
    "duration_seconds": Answered("real", {REQUEST: _TIMED, DEPENDENCY: _TIMED}, _NO_NUMBER, only=True),
    "step_seconds": Answered("real", {REQUEST: _TIMED}, _NO_NUMBER),
    "success": Answered(
        "bool",
        dict.fromkeys((REQUEST, DEPENDENCY), Source("tobool(success)", "TRY_CAST(success AS BOOLEAN)")),
        _NO_BOOL,
        only=True,
    ),
    "resultCode": Answered(
        "text", dict.fromkeys((REQUEST, DEPENDENCY), _both("resultCode")), _NO_TEXT, only=True
    ),
    "id": Answered("text", dict.fromkeys((REQUEST, DEPENDENCY), _both("id")), _NO_TEXT, only=True),
    "operation_Id": Answered("text", {}, _both("operation_Id")),
    "operation_ParentId": Answered(
        "text",
        {},
        Source(
            rf'replace_regex(operation_ParentId, @"{_STOCK_PARENT}", @"\1")',
            rf"regexp_replace(coalesce(operation_ParentId, ''), '{_STOCK_PARENT}', '\1')",
        ),
    ),
    "dimensions": Answered("dimensions", {}, Source("customDimensions", "customDimensions")),
    "is_error": Answered(  # a column of `records`, by which compacted files are sorted
        "bool",
        {
            TRACE: Source("severityLevel >= 3", "is_error"),
            EXCEPTION: Source("true", "is_error"),
            REQUEST: Source(_FAILED.kql, "is_error"),
        },
        Source("false", "is_error"),
    ),
    "is_warning": Answered(
        "bool", {TRACE: Source("severityLevel == 2", "coalesce(severityLevel = 2, false)")}, _FALSE
    ),
    "is_notable": Answered(  # what a timeline shows
        "bool",
        {
            TRACE: Source("severityLevel >= 2", "coalesce(severityLevel >= 2, false)"),
            EVENT: Source(
                "isempty(tostring(customDimensions.run_metric_data))",
                "coalesce(customDimensions->>'run_metric_data', '') = ''",
            ),
            **dict.fromkeys((EXCEPTION, REQUEST, DEPENDENCY), Source("true", "true")),
        },
        _FALSE,
    ),
    "is_metric": Answered(  # JSON has no number for NaN: such a metric is an event
        "bool", {METRIC: Source("true", "true"), EVENT: _one_of(_HAS_VALUE)}, _FALSE
    ),
    "has_metrics": Answered(  # those too that are folded together in one event (see `unfolding`)
        "bool", {METRIC: Source("true", "true"), EVENT: _one_of(_HAS_VALUE, _FOLDED)}, _FALSE
    ),
    "has_ended": Answered("bool", {REQUEST: Source("true", "true")}, _FALSE),
    "has_failed": Answered("bool", {REQUEST: _FAILED}, _FALSE),
    "is_bad": Answered(  # an error where no severity says so
        "bool", {EXCEPTION: Source("true", "true"), REQUEST: _FAILED, DEPENDENCY: _FAILED}, _FALSE
    ),
    LEVEL: Answered("text", {}, _NO_TEXT),  # from severityLevel and is_bad; written by each language itself
    **{name: Answered("text", {}, dimension(name)) for name in (*OWN, "run_url", "node", "rank")},
}

# What `contains` looks at.
SEARCHED: dict[str, tuple[Source, ...]] = {
    TRACE: (_both("message"),),
    EXCEPTION: (_OWN_MESSAGE, _both("outerMessage"), _both("innermostMessage"), _both("type"), _RAW),
    **{table: (source,) for table, source in _NAMED.items()},
}
# Where records have no severity of their own: the number that they count as.
UNSAID = {TRACE: 1, EXCEPTION: 3}
