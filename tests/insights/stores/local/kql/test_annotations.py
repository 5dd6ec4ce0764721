"""Hints and charts change no row."""

from __future__ import annotations

import pytest

from amllog.insights.stores.local.kql.compiler import compile_kql
from amllog.insights.stores.local.kql.reasons import KqlError

from .conftest import Run

_SOURCE = "datatable(a: long, b: string)[1, 'x', 2, 'x']"
HINTED = (
    f"{_SOURCE} | summarize hint.strategy=shuffle hint.num_partitions=2 count() by b",
    f"{_SOURCE} | join hint.strategy=broadcast kind=inner hint.remote=left ({_SOURCE}) on a | summarize count() by b",
    f"union hint.concurrency=1 ({_SOURCE}) | summarize count() by b",
)
CHARTS = (
    "timechart with (title='a, b', ymin=-1, ymax=2.5, kind=stacked, legend=hidden)",
    "columnchart kind=stacked",
    "columnchart kind=unstacked with (title='x', xtitle=@'c:\\')",
    "timechart title='x'",
    "linechart with (xcolumn=a, series=b, a, yaxis=log, ycolumns=['a'], accumulate=true)",
)
REJECTED = {
    f"{_SOURCE} | summarize hint.strategy=broadcast count()": "shuffle is expected",
    f"{_SOURCE} | summarize hint.strategy=shuffle hint.strategy=shuffle count()": "hint.strategy here",
    f"{_SOURCE} | summarize hint.shufflekey=b count() by b": "hint.shufflekey here: leave it out",
    f"{_SOURCE} | lookup hint.remote=left ({_SOURCE}) on a": "hint.remote here",
    f"{_SOURCE} | render timechart with (titel='x')": "render has no property 'titel'",
    f"{_SOURCE} | render timechart with (title=x)": "string is expected instead of 'x'",
    f"{_SOURCE} | render timechart with (title='x', title='y')": "or has it twice",
    f"{_SOURCE} | render timechart with (xcolumn=nosuch)": "no column 'nosuch'",
    f"{_SOURCE} | render timechart with (legend=nosuch)": "visible or hidden is expected",
    f"{_SOURCE} | render timechart with (title='x'": "')' is expected",
}


@pytest.mark.parametrize("kql", HINTED)
def test_hints_change_no_row(run: Run, kql: str) -> None:
    """Hints for the engine of the service are skipped."""
    assert run(kql) == [["x", 2]]


@pytest.mark.parametrize("chart", CHARTS)
def test_charts_change_no_row(run: Run, chart: str) -> None:
    """A chart has all properties that the portal writes, and the rows are those before it."""
    assert run(f"{_SOURCE} | render {chart}") == [[1, "x"], [2, "x"]]


@pytest.mark.parametrize("kql", REJECTED)
def test_invalid_hints_and_charts(kql: str) -> None:
    """A hint or a property that the service rejects is rejected."""
    with pytest.raises(KqlError) as raised:
        compile_kql(kql, {})
    assert REJECTED[kql] in str(raised.value)
