"""The words that are names in brackets only (`['last']`). Source: measured with Microsoft's language service 12.4.1."""

from __future__ import annotations

from amllog.insights.stores.local.kql.reasons import InvalidKql

_BOTH = """
and anomalychart areachart asc barchart between boolean card columnchart date datetime decimal desc
double dynamic endswith first flags float has_all has_any has_cs int int16 int32 int64 int8 isfuzzy
ladderchart last like linechart long notcontains or piechart pivotchart project real relaxed
scatterchart shards simple stackedareachart startswith string time timechart timeline timepivot
timespan treemap uint ulong union
"""
_DECLARED = "by false kind true with_source withsource"
_REFERENCED = """
accumulate as by contains datatable earliest externaldata find has in invoke latest materialize of print sample search
set title to toscalar verbose where
"""
DECLARED = frozenset(f"{_BOTH} {_DECLARED}".split())  # not before the = of a column
REFERENCED = frozenset(f"{_BOTH} {_REFERENCED}".split())  # not in an expression
DEFINED = DECLARED | REFERENCED  # not after let


def need_no_keyword(name: str, words: frozenset[str]) -> str:
    """Return a name. Raises InvalidKql for a word that needs brackets."""
    if name in words:
        raise InvalidKql(f"{name!r} is a word of KQL: as a name it is ['{name}']", code="SYN0002")
    return name
