"""Skip what changes no row: hints for the engine, and the chart of `render` with its properties."""

from __future__ import annotations

from amllog.insights.stores.local.kql.reasons import InvalidKql, UnsupportedKql
from amllog.insights.stores.local.kql.token_cursor import TokenCursor

_NUMBER: tuple[str, ...] = ()  # a hint that is a whole number
HINTS = {
    "join": {
        "remote": ("auto", "left", "local", "right"),
        "strategy": ("auto", "broadcast", "centralized", "shuffle"),
        "num_partitions": _NUMBER,
    },
    "lookup": {},
    "summarize": {"strategy": ("shuffle",), "num_partitions": _NUMBER},
    "union": {"concurrency": _NUMBER},
}
_CHARTS = {
    "anomalychart", "areachart", "barchart", "card", "columnchart", "ladderchart", "linechart", "piechart",
    "pivotchart", "scatterchart", "stackedareachart", "table", "timechart", "timepivot", "treemap",
}  # fmt: skip
_SCALES = ("linear", "log")
PROPERTIES = {
    "kind": ("default", "stacked", "stacked100", "unstacked", "map"), "legend": ("visible", "hidden"),
    "xaxis": _SCALES, "yaxis": _SCALES, "ysplit": ("none", "axes", "panels"), "accumulate": ("true", "false"),
    "title": ("string",), "xtitle": ("string",), "ytitle": ("string",),
    "ymin": ("long", "real"), "ymax": ("long", "real"),
    "xcolumn": (), "ycolumns": (), "series": (), "anomalycolumns": (),
}  # fmt: skip


def skip_hints(cursor: TokenCursor, operator: str) -> None:
    """Skip `hint.name=value` in an operator."""
    known = dict(HINTS[operator])
    while cursor.is_at("hint") and cursor.is_before(".") and cursor.peek(3).text == "=":
        cursor.step()
        cursor.step()
        name = cursor.step().text
        cursor.step()
        if name not in known:
            raise UnsupportedKql(f"hint.{name} here: leave it out")
        values = known.pop(name)
        if not (cursor.is_at(*values) if values else cursor.token.kind == "long"):
            raise cursor.error(f"{' or '.join(values) or 'a whole number'} is expected")
        cursor.step()


def skip_chart(cursor: TokenCursor) -> tuple[str, ...]:
    """Skip the name of a chart and its properties. Return the columns that these name."""
    chart = cursor.name()
    if chart not in _CHARTS:
        raise UnsupportedKql(f"render {chart}")
    known, columns = dict(PROPERTIES), list[str]()
    while cursor.token.kind == "name" and cursor.is_before("="):
        columns += _skip_property(cursor, known)
    if cursor.take("with"):
        cursor.expect("(")
        columns += _skip_property(cursor, known)
        while cursor.take(","):
            columns += _skip_property(cursor, known)
        cursor.expect(")")
    return tuple(columns)


def _skip_property(cursor: TokenCursor, known: dict[str, tuple[str, ...]]) -> list[str]:
    """Skip a property, which is not in `known` afterwards. Return the columns that it names."""
    name = cursor.token.text
    if name not in known:
        raise InvalidKql(f"render has no property {name!r}, or has it twice", code="SYN0002")
    words = known.pop(cursor.step().text)
    cursor.expect("=")
    if not words:
        columns = [cursor.name()]
        while name != "xcolumn" and cursor.is_at(",") and cursor.peek(2).text != "=":
            cursor.step()
            columns.append(cursor.name())
        return columns
    if "real" in words:
        cursor.take("-")
    if not (cursor.is_at(*words) or cursor.token.kind in words):
        raise cursor.error(f"{' or '.join(words)} is expected")
    cursor.step()
    return []
