"""The names of columns without a name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from amllog.errors import UsageError
from amllog.insights.query.result import Table

NAMES = {
    "print 1, x = 2, 3": ["print_0", "x", "print_2"],
    "print d = parse_json('') | project d.a, d['b c'], d[0], tostring(d.a), strlen('x'), 1 + 1": [
        "d_a", "d_b c", "d_0", "d_a1", "strlen_", "Column1",
    ],
    "print a = 1 | summarize count(), sum(a), avg(a), percentile(a, 95), make_list(a), take_any(a), "
    "dcount(a), countif(a > 1)": [
        "count_", "sum_a", "avg_a", "percentile_a_95", "list_a", "a", "dcount_a", "countif_",
    ],
    "print a = 1 | summarize percentiles(a, 5, 99.9) by bin(a, 2)": ["a", "percentile_a_5", "percentile_a_99_9"],
    "print a = 1 | summarize arg_max(a, *), count() by b = a": ["b", "a", "count_"],
    "print a = 1 | extend a + 1 | extend 'x'": ["a", "Column1", "Column2"],
    "print a = 1 | join (print a = 1, a1 = 2) on a": ["a", "a2", "a1"],
}  # fmt: skip


@pytest.mark.parametrize("kql", NAMES)
def test_names(table: Callable[[str], Table], kql: str) -> None:
    """The names are those of the service."""
    assert list(table(kql).names) == NAMES[kql]


def test_names_that_are_there_twice(table: Callable[[str], Table]) -> None:
    """Two columns with a name of the user are an error."""
    for kql in ("print a = 1, a = 2", "print a = 1 | project a, a", "print a = 1 | extend b = 1, b = 2"):
        with pytest.raises(UsageError, match="two columns have the name"):
            table(kql)
