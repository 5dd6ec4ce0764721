"""SQL in DuckDB and compiled KQL return the same rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

pytest.importorskip("duckdb")

from amllog.insights import connect
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions
from amllog.insights.stores.local import duckdb_views
from amllog.insights.stores.local.duckdb_engine import Engine

from ..conftest import failure, log  # isort: skip
from ..test_questions import (  # isort: skip
    NAMES, TEXTS, assert_both_engines_agree, comparable, of, questions,
)  # fmt: skip

__all__ = ["questions"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"contains": "a"},
        {"since": "2026-11-22", "until": "2026-11-22T10:00:07Z"},
        {"run_type": "training"},
    ],
)
def test_both_engines_agree(questions: Questions, name: str, filters: dict[str, Any]) -> None:
    """The KQL of every question returns the rows of its SQL, in both dialects."""
    pytest.importorskip("duckdb")
    assert_both_engines_agree(questions, getattr(questions, name)(**filters))


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_both_engines_agree_on_levels(journal: Callable[..., Path], level: str) -> None:
    """Without a severity, a log counts as INFO and an exception as ERROR, in both engines."""
    pytest.importorskip("duckdb")
    bare = failure("bare")
    del bare["data"]["baseData"]["severityLevel"]
    questions = connect(journal(*(log(str(severity), severity) for severity in (0, 1, 2, 3, 4, None)), bare))
    table = questions.logs(level=level)
    assert len(table) == {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 1}[level]
    assert_both_engines_agree(questions, table)
    assert_both_engines_agree(questions, questions.count(by="level"))


SURE = [('" or true //', 'a"b'), ("%", "$.x"), ("a\\", "/~"), ("' OR 1=1 --", "{{x}}"), ("\u2028", "é")]


def draw_texts(count: int) -> list[tuple[str, str]]:
    """Return values and keys: those in `SURE` and `count` examples of hypothesis."""
    texts = list(SURE)

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(value=TEXTS.filter(bool), key=TEXTS)
    def draw(value: str, key: str) -> None:
        texts.append((value, key))

    draw()
    return texts


def test_no_text_ends_a_literal(journal: Callable[..., Path]) -> None:
    """Any string in a filter selects its record only, in SQL and in KQL."""
    pytest.importorskip("duckdb")
    texts = [(str(number), value, f"k{key}") for number, (value, key) in enumerate(draw_texts(15))]
    lines = [
        log(f"<{value}", parent_run_id=value, **{key: value, "number": number})
        for number, value, key in texts
    ]
    path = journal(*lines, log("plain", parent_run_id="other"))
    questions, engine = connect(path), Engine()
    records = engine.cache_records(duckdb_views.records([path]), path)  # cached for all KQL
    for number, value, key in texts:
        filters: Any = {
            "where": {key: [value, "no such"], "number": [number, "no such"]},
            "contains": f"<{value}",
        }
        logs = questions.logs(value, **filters)
        assert of(logs, "message") == [(f"<{value}",)]
        counted = questions.count(value, by=key, where={"number": number})
        assert of(counted, key, "records") == [(value, 1)]
        turn = int(number)  # alternates between the questions and between the dialects
        table, workspace = (logs, counted)[turn % 2], turn // 2 % 2 == 0
        text = table.kql_workspace if workspace else table.kql
        free = Table.of(table.columns, engine.run_kql(text, records, dialects=(workspace,)).rows)
        assert comparable(free) == comparable(table), text
