"""The SQL that converts envelopes to the columns of the service.

The input are files with one envelope per line, from any SDK. The result is a SELECT with one row per record. It has the
columns of all tables of the service in one, and some dimensions as columns. Lines that are not envelopes have no row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from amllog.insights.query.cell_types import EARLIEST, END
from amllog.insights.query.columns import DIMENSION_COLUMNS
from amllog.insights.query.sql import escape_glob, literal, quote_name
from amllog.insights.query.tables import TABLES
from amllog.record.line_format import LEVEL_NAMES

_TEXTS = ("message", "severityLevel", "problemId", "name", "id", "duration", "success", "responseCode", "resultCode",
          "url", "source", "type", "target", "data", "runLocation")  # fmt: skip
_JSON = ("properties", "measurements", "exceptions", "metrics")
INDEX_MEMBERS = {  # the members of an envelope that the index needs
    "time": "VARCHAR",
    "data": "STRUCT(baseType VARCHAR, baseData STRUCT(severityLevel VARCHAR, success VARCHAR, properties JSON))",
    "tags": 'STRUCT("ai.operation.id" VARCHAR)',
}
NO_RUN = "__HIVE_DEFAULT_PARTITION__"  # the name of a partition without a value in Hive, Spark and others
MAX_LINE_BYTES = 4 * 64 * 1024  # A file with a longer line is not read. The service accepts 64 KiB.
JSON_COLUMNS = ("customDimensions", "customMeasurements", "details")  # columns of `records`

_TAGS = {
    "operation_Name": "operation.name", "operation_Id": "operation.id", "operation_ParentId": "operation.parentId",
    "operation_SyntheticSource": "operation.syntheticSource", "session_Id": "session.id", "user_Id": "user.id",
    "user_AuthenticatedId": "user.authUserId", "user_AccountId": "user.accountId",
    "application_Version": "application.ver", "client_Type": "device.type", "client_Model": "device.model",
    "client_OS": "device.osVersion", "client_Browser": "device.browser", "client_City": "location.city",
    "client_StateOrProvince": "location.province", "client_CountryOrRegion": "location.country",
    "cloud_RoleName": "cloud.role", "cloud_RoleInstance": "cloud.roleInstance", "sdkVersion": "internal.sdkVersion",
}  # fmt: skip
_CALLS = "('RequestData', 'RemoteDependencyData', 'AvailabilityData')"
_SUCCESS = "CASE lower(b.success) WHEN 'false' THEN 'False' ELSE 'True' END"
# Upper limits in milliseconds, and the service's names. The last bucket has no limit.
_BUCKETS = ((250, "<250ms"), (500, "250ms-500ms"), (1_000, "500ms-1sec"), (3_000, "1sec-3sec"), (7_000, "3sec-7sec"),
            (15_000, "7sec-15sec"), (30_000, "15sec-30sec"), (60_000, "30sec-1min"), (120_000, "1min-2min"),
            (300_000, "2min-5min"))  # fmt: skip
_RANK = "amllog_rank"  # an internal column: the rank of the owner of the record's file
_OUTER, _INNERMOST, _RUN_IN_PATH = "$[0]", "$[#-1]", ".*/parent_run_id=([^/]*)"


def read_lines(files: Iterable[Path], members: Mapping[str, str]) -> str:
    """Return the SQL that reads the lines of the files. A line that is not an envelope is a row of NULLs."""
    names = ", ".join(literal(escape_glob(path)) for path in files)
    types = ", ".join(f"{quote_name(name)}: {literal(type_)}" for name, type_ in members.items())
    return (
        f"read_json([{names}], format = 'newline_delimited', columns = {{{types}}}, ignore_errors = true, "
        f"filename = true, hive_partitioning = false, maximum_object_size = {MAX_LINE_BYTES})"
    )


def records(
    files: Sequence[Path], compacted: Sequence[Path] = (), *, deduplicate: bool = False, reader_sql: str = "",
    ranks: Mapping[Path, int] = MappingProxyType({}), times: str = "",
) -> str:  # fmt: skip
    """Return the SELECT over journal files and compacted ones.

    `deduplicate`: a record that is in several files counts once, as it is in the file with the lowest of `ranks`.
    `reader_sql`: the SQL that reads the result. Members of the lines that it does not use are not extracted. ""
    extracts all of them. `times`: a test that selects the rows of compacted files which are read.
    """
    words = {*re.findall(r"\w+", reader_sql), "timestamp", "record_id"}
    columns = {name: sql for name, sql in _columns().items() if not reader_sql or name in words}
    parts = []
    for rank in sorted({ranks.get(path, 0) for path in (*files, *compacted)} or {0}):
        lines, parquet = (
            [path for path in paths if ranks.get(path, 0) == rank] for paths in (files, compacted)
        )
        ranked = {**columns, _RANK: str(rank)} if deduplicate else columns
        parts += [_from_lines(lines, ranked)] if lines or not parquet else []
        parts += [_from_parquet(parquet, f", {rank} AS {_RANK}" * deduplicate, times)] if parquet else []
    select = "\nUNION ALL BY NAME\n".join(parts)
    if deduplicate:
        first = f"row_number() OVER (PARTITION BY record_id ORDER BY {_RANK}, timestamp) = 1"
        select = f"SELECT * EXCLUDE ({_RANK}) FROM ({select})\nQUALIFY record_id IS NULL OR {first}"
    return select


def column(name: str) -> str:
    """Return one column of `records` as SQL over the lines, where `b` is `data.baseData`."""
    return _columns()[name]


def _from_lines(files: Sequence[Path], columns: Mapping[str, str]) -> str:
    """Return the SELECT that extracts columns from lines.

    Members are read as strings, because other SDKs may have a number or a name there. A value that does not fit its
    type would be lost without an error.
    """
    selected = ",\n  ".join(f"{sql} AS {quote_name(name)}" for name, sql in columns.items())
    base = [f"{name} VARCHAR" for name in _TEXTS if re.search(rf"\bb\.{name}\b", selected)]
    base += [f"{name} JSON" for name in _JSON if re.search(rf"\bb\.{name}\b", selected)]
    tags = [
        f"{quote_name('ai.' + tag)} VARCHAR" for tag in _TAGS.values() if quote_name("ai." + tag) in selected
    ]
    members = {"time": "VARCHAR", "data": f"STRUCT(baseType VARCHAR, baseData STRUCT({', '.join(base)}))"}
    if tags:
        members["tags"] = f"STRUCT({', '.join(tags)})"
    members.update({name: "VARCHAR" for name in ("iKey", "sampleRate") if name in selected})
    lines = read_lines(files, members)
    if not files:
        empty = ", ".join(f"CAST(NULL AS {type_}) AS {quote_name(name)}" for name, type_ in members.items())
        lines = f"(SELECT {empty} WHERE false)"
    return f"SELECT {selected}\nFROM (SELECT *, data.baseData AS b FROM {lines})\nWHERE {IS_RECORD}"


def _from_parquet(files: Iterable[Path], rank: str, times: str) -> str:
    """Return the SELECT over Parquet files, in which JSON is a string. Older files have times without a time zone.

    DuckDB skips row groups by a test of the column itself, and not by one of the CAST. So `times` is tested first.
    Without `hive_partitioning = false`, DuckDB would make a column of each `a=b` in a path. Files of an earlier version
    have fewer columns.
    """
    paths = ", ".join(literal(escape_glob(path)) for path in files)
    as_json = ", ".join(f"CAST({name} AS JSON) AS {name}" for name in JSON_COLUMNS)
    time = "CAST(timestamp AS TIMESTAMP) AS timestamp"
    run = f"nullif(url_decode(regexp_extract(filename, '{_RUN_IN_PATH}', 1)), {literal(NO_RUN)}) AS parent_run_id"
    where = f" WHERE {times}" if times else ""
    read = f"read_parquet([{paths}], hive_partitioning = false, filename = true, union_by_name = true){where}"
    read = f"(SELECT CAST(NULL AS VARCHAR) AS root_run_id WHERE false UNION ALL BY NAME SELECT * FROM {read})"
    return f"SELECT * EXCLUDE (filename) REPLACE ({as_json}, {time}), {run}{rank} FROM {read}"


def _columns() -> dict[str, str]:
    """Return all columns of `records` as SQL over the lines (`b`: baseData)."""
    columns = {
        "timestamp": TIME,
        "itemType": _case({table.base_type: literal(table.item_type) for table in TABLES.values()}),
        "message": f"CASE data.baseType WHEN 'ExceptionData' THEN {_exception(_OUTER, 'message')} ELSE b.message END",
        "severityLevel": SEVERITY,
        "name": f"CASE data.baseType WHEN 'MetricData' THEN {_point('name')} ELSE b.name END",
        **_metrics(),
        **_exceptions(),
        **_calls(),
        "customDimensions": "coalesce(b.properties, CAST('{}' AS JSON))",
        "customMeasurements": "b.measurements",
        **{name: f"coalesce({_tag(tag)}, '')" for name, tag in _TAGS.items()},
        "client_IP": "'0.0.0.0'",  # the service stores this value, too
        "appId": "''",
        "appName": "''",
        "iKey": "iKey",
        "is_error": f"CASE data.baseType WHEN 'MessageData' THEN coalesce({SEVERITY} >= 3, false) "
        "WHEN 'ExceptionData' THEN true WHEN 'RequestData' THEN coalesce(lower(b.success) = 'false', false) "
        "ELSE false END",
        "itemCount": "CAST(round(100 / coalesce(nullif(TRY_CAST(sampleRate AS DOUBLE), 0), 100)) AS INTEGER)",
    }
    columns.update({key: f"b.properties->>'{key}'" for key in DIMENSION_COLUMNS})
    return {**columns, "itemId": "coalesce(b.properties->>'record_id', '')"}


def _metrics() -> dict[str, str]:
    value = f"TRY_CAST({_point('value')} AS DOUBLE)"
    count = f"coalesce(TRY_CAST({_point('count')} AS INTEGER), 1)"
    return {
        "value": value,
        "valueCount": f"CASE data.baseType WHEN 'MetricData' THEN {count} END",
        "valueSum": value,
        "valueMin": f"coalesce(TRY_CAST({_point('min')} AS DOUBLE), {value})",
        "valueMax": f"coalesce(TRY_CAST({_point('max')} AS DOUBLE), {value})",
        "valueStdDev": f"TRY_CAST({_point('stdDev')} AS DOUBLE)",
    }


def _exceptions() -> dict[str, str]:
    columns = {
        "handledAt": "CASE data.baseType WHEN 'ExceptionData' THEN 'UserCode' END",
        "type": f"CASE data.baseType WHEN 'ExceptionData' THEN {_exception(_OUTER, 'typeName')} ELSE b.type END",
        "method": _exception(_OUTER, "parsedStack[0].method"),
        "assembly": _exception(_OUTER, "parsedStack[0].assembly"),
    }
    for name, which in (("outer", _OUTER), ("innermost", _INNERMOST)):
        columns[f"{name}Type"] = _exception(which, "typeName")
        columns[f"{name}Message"] = _exception(which, "message")
        columns[f"{name}Method"] = _exception(which, "parsedStack[0].method")
        columns[f"{name}Assembly"] = _exception(which, "parsedStack[0].assembly")
    # The same value as the service computes if an SDK sends none.
    computed = f"concat_ws(' at ', {columns['type']}, {columns['method']})"
    columns["problemId"] = (
        f"coalesce(b.problemId, CASE data.baseType WHEN 'ExceptionData' THEN {computed} END)"
    )
    # The service's names. A quote inside a string is escaped, so only the name of a member looks like one.
    renamed = """replace(replace(CAST(b.exceptions AS VARCHAR), '"typeName":', '"type":'), '"stack":', '"rawStack":')"""
    columns["details"] = f"CAST({renamed} AS JSON)"
    return columns


def _calls() -> dict[str, str]:
    milliseconds = _milliseconds("b.duration")
    buckets = " ".join(f"WHEN {milliseconds} < {limit} THEN {literal(name)}" for limit, name in _BUCKETS)
    return {
        "id": "b.id",
        "source": "b.source",
        "url": "b.url",
        "target": "b.target",
        "data": "b.data",
        "location": "b.runLocation",
        "size": "CAST(NULL AS DOUBLE)",  # only the service has it
        "success": f"CASE WHEN data.baseType IN {_CALLS} THEN {_SUCCESS} END",
        "resultCode": "CASE data.baseType WHEN 'RequestData' THEN b.responseCode ELSE b.resultCode END",
        "duration": milliseconds,
        "performanceBucket": f"CASE {buckets} WHEN b.duration IS NOT NULL THEN '>=5min' END",
    }


def _case(values: Mapping[str, str]) -> str:
    return f"CASE data.baseType {' '.join(f'WHEN {literal(key)} THEN {value}' for key, value in values.items())} END"


def _tag(tag: str) -> str:
    return f"tags.{quote_name('ai.' + tag)}"


def _point(member: str) -> str:
    return f"json_extract_string(b.metrics, '$[0].{member}')"


def _exception(which: str, path: str) -> str:
    return f"json_extract_string(b.exceptions, '{which}.{path}')"


def _milliseconds(duration: str) -> str:
    """Return SQL that converts `D.HH:MM:SS.fffffff` or `HH:MM:SS` to milliseconds."""
    days, hours, minutes = (r"^(\d+)\.\d+:", 86_400), (r"^(?:\d+\.)?(\d+):", 3_600), (r":(\d+):", 60)
    seconds = (r":(\d+(?:\.\d+)?)$", 1)
    parts = [
        f"coalesce(TRY_CAST(regexp_extract({duration}, '{regex}', 1) AS DOUBLE), 0) * {size * 1000}"
        for regex, size in (days, hours, minutes, seconds)
    ]
    return f"CASE WHEN {duration} IS NOT NULL THEN {' + '.join(parts)} END"


# A cast to TIMESTAMP would ignore an offset. It also accepts the year 290000, infinity and epoch.
TIME = (
    f"CASE WHEN time < '{EARLIEST}' OR time >= '{END}' OR time[5] <> '-' THEN NULL "
    "WHEN time[-1] = 'Z' THEN TRY_CAST(time AS TIMESTAMP) "
    "ELSE TRY_CAST(time AS TIMESTAMPTZ) AT TIME ZONE 'UTC' END"
)
_NUMBER = "TRY_CAST(b.severityLevel AS INTEGER)"
# The most frequent values first.
_NUMBERS = " ".join(f"WHEN '{number}' THEN {number}" for number in (1, 3, 2, 0, 4))
_NAMES = " ".join(
    f"WHEN '{name}' THEN {number}"
    for number, name in enumerate(("verbose", "information", *map(str.lower, LEVEL_NAMES[2:])))
)
_OTHER_SEVERITY = (
    f"CASE lower(b.severityLevel) {_NAMES} ELSE CASE WHEN {_NUMBER} > 4 THEN 4 ELSE {_NUMBER} END END"
)
SEVERITY = f"CASE b.severityLevel {_NUMBERS} ELSE {_OTHER_SEVERITY} END"
_BASE_TYPES = ", ".join(literal(table.base_type) for table in TABLES.values())
IS_RECORD = f"data.baseType IN ({_BASE_TYPES}) AND data.baseData IS NOT NULL AND {TIME} IS NOT NULL"
