"""Alert rules and workbooks for errors."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights import connect
from amllog.insights.alerts import rules, templates
from amllog.insights.query import kql
from amllog.insights.query.tables import TABLES

from .. import language
from ..conftest import failure, log

ID = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/c"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"


@pytest.mark.parametrize("of", ["logs", "exceptions", "steps"])
def test_a_rule_of_one_table(of: str) -> None:
    """A rule for one kind of error reads one table, because Azure does not run `union` every minute."""
    for resource_id in (ID, WORKSPACE):
        arm = json.loads(templates.arm(rules.alert(resource_id, of=of, every="1m", run_type="training")))
        (criterion,) = arm["resources"][0]["properties"]["criteria"]["allOf"]
        assert arm["parameters"]["evaluationFrequency"]["defaultValue"] == "PT1M"
        table = TABLES[rules.ERROR_TABLES[of][0]]
        assert criterion["query"].startswith(
            f"{(table.workspace if resource_id == WORKSPACE else table.classic)}\n| "
        )
        assert not re.search(r"\b(union|search|take)\b", criterion["query"])
    with pytest.raises(UsageError, match="of='spans': one of everything, logs"):
        rules.alert(ID, of="spans")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"last": "7d"}, "last: not allowed here"),
        ({"since": "2026-11-22", "until": "2026-11-23"}, "since, until: not allowed here"),
        ({"severity": 5}, r"severity=5: 0 \(critical\) to 4"),
        ({"threshold": -1}, "threshold=-1: a whole number, at least 0"),
        ({"window": "7m"}, "window='7m': one of 1, 5, 10"),
        ({"window": timedelta(minutes=5), "every": "15m"}, "every='15m': at most the window"),
        ({"every": "1m"}, "every='1m': at least 5m, or of= logs, exceptions or steps"),
        ({"name": "a/b"}, "name='a/b': 1 to 260 characters"),
        ({"colour": "red"}, "colour: no such argument"),
    ],
)
def test_invalid_arguments(arguments: dict[str, Any], message: str) -> None:
    """The error names the argument, its value and the allowed values."""
    with pytest.raises(UsageError, match=message):
        rules.alert(ID, **arguments)


@pytest.mark.parametrize("resource_id", [ID, WORKSPACE])
def test_a_rule_is_valid_before_its_tables_exist(resource_id: str) -> None:
    """Azure does not check the query of a rule when it is deployed, and tables that do not exist have no rows."""
    for template in (rules.alert(resource_id), rules.alert(resource_id, of="exceptions")):
        arm = json.loads(templates.arm(template))
        properties = arm["resources"][0]["properties"]
        assert properties["skipQueryValidation"] is True
        assert "skipQueryValidation: true" in templates.bicep(template)
        (criterion,) = properties["criteria"]["allOf"]
        assert criterion["query"].startswith("union isfuzzy=true (datatable(")
    content = json.loads(templates.arm(rules.workbook(resource_id)))["variables"]["content"]
    queries = [item["content"]["query"] for item in content["items"] if "query" in item["content"]]
    assert len(queries) == 5 and all(query.startswith("union isfuzzy=true (") for query in queries)


def test_the_query_of_a_rule_finds_the_same_errors(journal: Callable[..., Path]) -> None:
    """The empty table adds no row and changes no column."""
    pytest.importorskip("duckdb")
    store = connect(journal(log("fine"), log("bad", 3), failure("no")).parent).store
    for write in (kql.classic, kql.workspace):
        for of in rules.ERROR_TABLES:
            query = rules.errors_query(of)
            answers = [
                store.query(f"{write(query, is_fuzzy=fuzzy)} | sort by message asc")
                for fuzzy in (True, False)
            ]
            assert answers[0] == answers[1]
        assert [row["message"] for row in store.query(write(rules.errors_query(), is_fuzzy=True))] in (
            ["bad", "no"],
            ["no", "bad"],
        )


@pytest.mark.skipif(bool(language.missing()), reason=language.missing() or "available")
def test_every_subset_of_the_tables_has_the_same_columns() -> None:
    """The queries are valid for Microsoft's language service whichever tables exist, with the same types."""
    names = ("traces", "exceptions", "requests")
    schemas, asked, writers = {}, [], {"classic": kql.classic, "workspace": kql.workspace}
    for dialect, write in writers.items():
        declared = language.schemas()[dialect]
        queries = [write(rules.errors_query(of), is_fuzzy=True) for of in rules.ERROR_TABLES]
        queries += [write(rules.errors_by_step_query(), is_fuzzy=True)]
        tables = [TABLES[name].workspace if dialect == "workspace" else name for name in names]
        for subset in (group for size in range(4) for group in itertools.combinations(tables, size)):
            schemas[f"{dialect} {subset}"] = {name: declared[name] for name in subset}
            asked += [(f"{dialect} {subset}", query) for query in queries]
    with language.Service(schemas) as service:
        results = service(asked)
    assert {error[0] for result in results for error in result.errors} == {
        "KS205"
    }  # no such table, a warning
    columns: dict[str, list[object]] = {}
    for (_, query), result in zip(asked, results):
        columns.setdefault(query, []).append(result.columns)
    assert [found for found in columns.values() if len(set(map(str, found))) > 1] == []
