"""The functions of times whose SQL does not depend on a constant, as rows. Source: the reference of KQL."""

from __future__ import annotations

from amllog.insights.stores.local.kql.function_rows import Row, Rows

_DAY = "TRY_CAST(printf('%04d-%02d-%02d', {0}, {1}, {2}) AS TIMESTAMP)"
_MINUTE = "TRY_CAST(printf('%04d-%02d-%02d %02d:%02d', {0}, {1}, {2}, {3}, {4}) AS TIMESTAMP)"
_SPAN = "error('kql: make_timespan() of an hour above 23, or a minute or second above 59')"
_HOUR = "CASE WHEN {0} BETWEEN 0 AND 23 AND {1} BETWEEN 0 AND 59 THEN {0} * 36000000000 + {1} * 600000000"
_PARTS = {
    "getyear": "year", "monthofyear": "month", "getmonth": "month", "dayofmonth": "day", "dayofyear": "dayofyear",
    "hourofday": "hour", "week_of_year": "weekofyear",
}  # fmt: skip

# fmt: off
TIME_FUNCTIONS: Rows = {
    # long, as the engine returns. The language service says int.
    **{name: (Row("t", "long", f"CAST({function}({{0}}) AS BIGINT)"),) for name, function in _PARTS.items()},
    "dayofweek": (Row("t", "timespan", "CAST(dayofweek({0}) AS BIGINT) * 864000000000"),),
    "make_datetime": (
        Row("lll", "datetime", _DAY),
        Row("lllll", "datetime", _MINUTE),
        Row("lllllr", "datetime", "CASE WHEN {5} >= 0 AND {5} < 60 "
            f"THEN {_MINUTE} + to_microseconds(CAST(trunc({{5}} * 1000000) AS BIGINT)) END"),
    ),
    "make_timespan": (
        Row("ll", "timespan", f"{_HOUR} WHEN {{0}} IS NOT NULL AND {{1}} IS NOT NULL THEN {_SPAN} END"),
        Row("lll", "timespan", _HOUR.replace(" THEN", " AND {2} BETWEEN 0 AND 59 THEN") + " + {2} * 10000000 "
            f"WHEN {{0}} IS NOT NULL AND {{1}} IS NOT NULL AND {{2}} IS NOT NULL THEN {_SPAN} END"),
    ),
    "unixtime_seconds_todatetime": (Row("l", "datetime", "make_timestamp({0} * 1000000)"),),
    "unixtime_milliseconds_todatetime": (Row("l", "datetime", "make_timestamp({0} * 1000)"),),
    "unixtime_microseconds_todatetime": (Row("l", "datetime", "make_timestamp({0})"),),
}
# fmt: on
