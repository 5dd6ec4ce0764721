"""The columns of answers."""

from __future__ import annotations

import re

from amllog.insights.query.columns import CATALOGUE, DEFAULT_SEVERITIES, SEARCHED

from ..published_schemas import CLASSIC, DOUBTFUL  # isort: skip


def test_expressions_use_no_doubtful_column() -> None:
    """No expression uses a column that Microsoft's reference no longer lists."""
    sources = [
        source for column in CATALOGUE.values() for source in (*column.sources.values(), column.otherwise)
    ]
    words = {
        word
        for source in (*sources, *(source for sources_ in SEARCHED.values() for source in sources_))
        for word in re.findall(r"\w+", source.kql)
    }
    doubtful = {column[0].lower() + column[1:] for columns in DOUBTFUL.values() for column in columns}
    assert "outerMessage" in words and doubtful == {"performanceBucket"}
    assert not words & doubtful


def test_tables_with_a_severity() -> None:
    """Level filters apply to the tables with a severity column."""
    assert {name for name, columns in CLASSIC.items() if "severityLevel" in columns} == set(
        DEFAULT_SEVERITIES
    )
