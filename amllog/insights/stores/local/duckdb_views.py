"""Envelopes → the columns that the service gives them, as SQL for DuckDB.

In: files with one envelope per line. Out: the text of a SELECT, one row per record, with the columns of all tables of
`schema` in one, and some dimensions as columns of their own. Whatever kind of envelope of whatever SDK; lines that are
none have no row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from amllog.insights.query.cell_types import EARLIEST, END
from amllog.insights.query.columns import DIMENSION_COLUMNS
from amllog.insights.query.sql import escape_glob, literal, quote_name
from amllog.insights.query.tables import TABLES, Field, ServiceTable
from amllog.record.line_format import LEVEL_NAMES

_TEXTS = ("message", "severityLevel", "problemId", "name", "id", "duration", "success", "responseCode", "resultCode",
          "url", "source", "type", "target", "data", "runLocation")  # fmt: skip
_JSON = ("properties", "measurements", "exceptions", "metrics")
INDEX_MEMBERS = {  # what tells whose a record is, of when and how bad
    "time": "VARCHAR",
    "data": "STRUCT(baseType VARCHAR, baseData STRUCT(severityLevel VARCHAR, success VARCHAR, properties JSON))",
}
NO_RUN = "__HIVE_DEFAULT_PARTITION__"  # what Hive, Spark and the others call a partition without a value
MAX_LINE_BYTES = 4 * 64 * 1024  # a file with a longer line is left out; the service takes 64 KiB
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
_FAILED_OR_NOT = "CASE lower(b.success) WHEN 'false' THEN 'False' ELSE 'True' END"
# Up to here: under 250 ms … of 5 minutes or more. The service's own names.
_BUCKETS = ((250, "<250ms"), (500, "250ms-500ms"), (1_000, "500ms-1sec"), (3_000, "1sec-3sec"), (7_000, "3sec-7sec"),
            (15_000, "7sec-15sec"), (30_000, "15sec-30sec"), (60_000, "30sec-1min"), (120_000, "1min-2min"),
            (300_000, "2min-5min"))  # fmt: skip
_RANK = "amllog_rank"  # whose file a record stands in, as a column within the SELECT
_OUTER, _INNERMOST, _RUN_IN_PATH = "$[0]", "$[#-1]", ".*/parent_run_id=([^/]*)"


def read_lines(files: Iterable[Path], columns: Mapping[str, str]) -> str:
    """The lines of the files as DuckDB reads them; a line that is no envelope is a row of NULLs."""
    names = ", ".join(literal(escape_glob(path)) for path in files)
    types = ", ".join(f"{quote_name(name)}: {literal(kind)}" for name, kind in columns.items())
    return (
        f"read_json([{names}], format = 'newline_delimited', columns = {{{types}}}, ignore_errors = true, "
        f"filename = true, hive_partitioning = false, maximum_object_size = {MAX_LINE_BYTES})"
    )


def records(
    files: Sequence[Path], compacted: Sequence[Path] = (), *, deduplicate: bool = False, reader_sql: str = "",
    ranks: Mapping[Path, int] = MappingProxyType({}),
) -> str:  # fmt: skip
    """Return the SELECT over journal files and compacted ones.

    `deduplicate`: a record that is in several files counts once, as it is in the file with the lowest of `ranks`.
    `reader_sql`: the SQL that reads the result. Members of the lines that it does not use are not extracted. ""
    extracts all of them.
    """
    words = {*re.findall(r"\w+", reader_sql), "timestamp", "record_id"}
    columns = {name: sql for name, sql in _columns().items() if not reader_sql or name in words}
    parts = []
    for rank in sorted({ranks.get(path, 0) for path in (*files, *compacted)} or {0}):
        own, back = ([path for path in paths if ranks.get(path, 0) == rank] for paths in (files, compacted))
        ranked = {**columns, _RANK: str(rank)} if deduplicate else columns
        parts += [_selected(own, ranked)] if own or not back else []
        parts += [_read_back(back, f", {rank} AS {_RANK}" * deduplicate)] if back else []
    text = "\nUNION ALL BY NAME\n".join(parts)
    if deduplicate:
        first = f"row_number() OVER (PARTITION BY record_id ORDER BY {_RANK}, timestamp) = 1"
        text = f"SELECT * EXCLUDE ({_RANK}) FROM ({text})\nQUALIFY record_id IS NULL OR {first}"
    return text


def column(name: str) -> str:
    """One column of `records`, as SQL over the lines, where `b` is `data.baseData`."""
    return _columns()[name]


def view(table: ServiceTable, records: str, *, workspace: bool) -> str:
    """The SELECT for one of the service's tables, over `records`."""
    selected = []
    for field in table.fields:
        name = field.workspace if workspace else field.classic
        if name:
            selected.append(f"{_as(table, field, workspace=workspace)} AS {quote_name(name)}")
    if workspace:
        selected.append("'' AS _ResourceId")  # which many of Microsoft's own queries group by
    return f"SELECT {', '.join(selected)} FROM {records} WHERE itemType = {literal(table.item_type)}"


def _as(table: ServiceTable, field: Field, *, workspace: bool) -> str:
    if workspace and field.classic == "itemType":
        return literal(table.workspace)
    if workspace and field.classic == "success":
        return "CAST(success AS BOOLEAN)"
    return (
        f"coalesce({field.classic}, '')" if field.type == "string" else field.classic
    )  # no text is null in KQL


def _selected(files: Sequence[Path], columns: Mapping[str, str]) -> str:
    """Columns taken out of lines. Texts where another SDK may have a number or a name: what does not fit its type
    would be lost without a word."""
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
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quote_name(name)}" for name, kind in members.items())
        lines = f"(SELECT {empty} WHERE false)"
    return f"SELECT {selected}\nFROM (SELECT *, data.baseData AS b FROM {lines})\nWHERE {IS_RECORD}"


def _read_back(files: Iterable[Path], more: str) -> str:
    """The SELECT over Parquet files, where JSON is text. By default DuckDB takes each `a=b` of a path for a column."""
    paths = ", ".join(literal(escape_glob(path)) for path in files)
    back = ", ".join(f"CAST({name} AS JSON) AS {name}" for name in JSON_COLUMNS)
    run = f"nullif(url_decode(regexp_extract(filename, '{_RUN_IN_PATH}', 1)), {literal(NO_RUN)}) AS parent_run_id"
    read = f"read_parquet([{paths}], hive_partitioning = false, filename = true)"
    return f"SELECT * EXCLUDE (filename) REPLACE ({back}), {run}{more} FROM {read}"


def _columns() -> dict[str, str]:
    """Every column of `records`, as SQL over the lines (`b`: baseData)."""
    found = {
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
        "client_IP": "'0.0.0.0'",  # which is what the service keeps of it
        "appId": "''",
        "appName": "''",
        "iKey": "iKey",
        "is_error": f"CASE data.baseType WHEN 'MessageData' THEN coalesce({SEVERITY} >= 3, false) "
        "WHEN 'ExceptionData' THEN true WHEN 'RequestData' THEN coalesce(lower(b.success) = 'false', false) "
        "ELSE false END",
        "itemCount": "CAST(round(100 / coalesce(nullif(TRY_CAST(sampleRate AS DOUBLE), 0), 100)) AS INTEGER)",
    }
    found.update({key: f"b.properties->>'{key}'" for key in DIMENSION_COLUMNS})
    return {**found, "itemId": "coalesce(b.properties->>'record_id', '')"}


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
    found = {
        "handledAt": "CASE data.baseType WHEN 'ExceptionData' THEN 'UserCode' END",
        "type": f"CASE data.baseType WHEN 'ExceptionData' THEN {_exception(_OUTER, 'typeName')} ELSE b.type END",
        "method": _exception(_OUTER, "parsedStack[0].method"),
        "assembly": _exception(_OUTER, "parsedStack[0].assembly"),
    }
    for name, which in (("outer", _OUTER), ("innermost", _INNERMOST)):
        found[f"{name}Type"] = _exception(which, "typeName")
        found[f"{name}Message"] = _exception(which, "message")
        found[f"{name}Method"] = _exception(which, "parsedStack[0].method")
        found[f"{name}Assembly"] = _exception(which, "parsedStack[0].assembly")
    # As the service does where a SDK sends none.
    built = f"concat_ws(' at ', {found['type']}, {found['method']})"
    found["problemId"] = f"coalesce(b.problemId, CASE data.baseType WHEN 'ExceptionData' THEN {built} END)"
    # The service's names. Inside a text a quote is escaped, so that nothing but a member's name looks like one.
    renamed = """replace(replace(CAST(b.exceptions AS VARCHAR), '"typeName":', '"type":'), '"stack":', '"rawStack":')"""
    found["details"] = f"CAST({renamed} AS JSON)"
    return found


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
        "size": "CAST(NULL AS DOUBLE)",  # the service's own
        "success": f"CASE WHEN data.baseType IN {_CALLS} THEN {_FAILED_OR_NOT} END",
        "resultCode": "CASE data.baseType WHEN 'RequestData' THEN b.responseCode ELSE b.resultCode END",
        "duration": milliseconds,
        "performanceBucket": f"CASE {buckets} WHEN b.duration IS NOT NULL THEN '>=5min' END",
    }


def _case(texts: Mapping[str, str]) -> str:
    return f"CASE data.baseType {' '.join(f'WHEN {literal(key)} THEN {text}' for key, text in texts.items())} END"


def _tag(tag: str) -> str:
    return f"tags.{quote_name('ai.' + tag)}"


def _point(member: str) -> str:
    return f"json_extract_string(b.metrics, '$[0].{member}')"


def _exception(which: str, path: str) -> str:
    return f"json_extract_string(b.exceptions, '{which}.{path}')"


def _milliseconds(duration: str) -> str:
    """`D.HH:MM:SS.fffffff` or `HH:MM:SS` as milliseconds."""
    seconds = [(r"^(\d+)\.\d+:", 86_400), (r"^(?:\d+\.)?(\d+):", 3_600), (r":(\d+):", 60),
               (r":(\d+(?:\.\d+)?)$", 1)]  # fmt: skip
    parts = [
        f"coalesce(TRY_CAST(regexp_extract({duration}, '{one}', 1) AS DOUBLE), 0) * {size * 1000}"
        for one, size in seconds
    ]
    return f"CASE WHEN {duration} IS NOT NULL THEN {' + '.join(parts)} END"


TIME = (  # a cast to TIMESTAMP would drop an offset without a word, and knows the year 290000, infinity and epoch
    f"CASE WHEN time < '{EARLIEST}' OR time >= '{END}' OR time[5] <> '-' THEN NULL "
    "WHEN time[-1] = 'Z' THEN TRY_CAST(time AS TIMESTAMP) "
    "ELSE TRY_CAST(time AS TIMESTAMPTZ) AT TIME ZONE 'UTC' END"
)
_NUMBER = "TRY_CAST(b.severityLevel AS INTEGER)"
# First what is most frequent.
_NUMBERS = " ".join(f"WHEN '{number}' THEN {number}" for number in (1, 3, 2, 0, 4))
_NAMES = " ".join(
    f"WHEN '{name}' THEN {number}"
    for number, name in enumerate(("verbose", "information", *map(str.lower, LEVEL_NAMES[2:])))
)
_ODD = f"CASE lower(b.severityLevel) {_NAMES} ELSE CASE WHEN {_NUMBER} > 4 THEN 4 ELSE {_NUMBER} END END"
SEVERITY = f"CASE b.severityLevel {_NUMBERS} ELSE {_ODD} END"
_KNOWN = ", ".join(literal(table.base_type) for table in TABLES.values())
IS_RECORD = f"data.baseType IN ({_KNOWN}) AND data.baseData IS NOT NULL AND {TIME} IS NOT NULL"
