"""Every KQL that amllog generates passes Microsoft's language service with the published schemas of the tables."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from amllog.insights import links
from amllog.insights.alerts import rules, templates
from amllog.insights.query import kql, kql_literals
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions
from amllog.insights.stores.store import Unasked

from .. import language

pytestmark = pytest.mark.skipif(bool(language.missing()), reason=language.missing() or "installed")

ROOT = Path(__file__).parents[3]
ASK = Questions(Unasked())
NAMES = ("runs", "steps", "logs", "errors", "exceptions", "metrics", "spans", "events", "count", "timeline")
LEVELS = ("logs", "errors", "exceptions", "count", "timeline", "runs", "steps")
IDS = {
    "classic": "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/c",
    "workspace": "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w",
}
KINDS = {
    "time": {"datetime"}, "text": {"string"}, "stack": {"string"}, "int": {"int", "long"}, "real": {"real"},
    "bool": {"bool"}, "dimensions": {"dynamic"},
}  # fmt: skip


Check = Callable[[list[tuple[str, str]]], list[language.Result]]


@pytest.fixture(scope="module")
def service() -> Iterator[language.Service]:
    """Run the language service once for all tests."""
    with language.Service() as running:
        yield running


@pytest.fixture
def valid(service: language.Service) -> Check:
    """Return a function that asserts that the queries have no errors and returns the results."""

    def ask(queries: list[tuple[str, str]]) -> list[language.Result]:
        assert queries
        results = service(queries)
        assert [(query, result.errors) for query, result in zip(queries, results) if result.errors] == []
        return results

    return ask


def both_dialects(table: Table) -> list[tuple[str, str]]:
    """Return the KQL of a question in both dialects."""
    return [("classic", table.kql), ("workspace", table.kql_workspace)]


TIMES: tuple[dict[str, Any], ...] = (
    {"last": "7d"},
    {"last": timedelta(milliseconds=1500)},
    {"since": datetime(2026, 11, 22, 10, tzinfo=timezone(timedelta(hours=9))), "until": "2026-11-23"},
)
EVERYTHING: dict[str, Any] = {
    "parent_run_id": "p", "step_id": ["a", "b"], "step_name": "s", "experiment_name": "e", "run_type": "training",
    "contains": "text", "where": {"fold": 3, "a.b": ["1", "2"], "with space": "", 'q"uote': "x", "über": "z"},
}  # fmt: skip


def test_every_question(valid: Check) -> None:
    """Each question with each argument is valid in both dialects and returns the columns of its table."""
    tables = [getattr(ASK, name)(**filters) for name in NAMES for filters in ({}, EVERYTHING)]
    tables += [ASK.logs(**filters) for filters in TIMES]
    tables += [getattr(ASK, name)("run") for name in NAMES if name != "runs"]
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    tables += [ASK.logs(level=level) for level in levels] + [
        getattr(ASK, name)(level="ERROR") for name in LEVELS
    ]
    tables += [ASK.logs(limit=5, newest_first=True), ASK.errors(limit=5), ASK.metrics(name=["a", "b"])]
    tables += [ASK.count(by="level"), ASK.count(by=["step_name", "fold"]), ASK.count(by="with space")]
    results = valid([pair for table in tables for pair in both_dialects(table)])
    for table, result in zip([table for table in tables for _ in range(2)], results):
        assert [name for name, _ in result.columns] == list(table.names), table.kql
        wrong = [
            (c.name, kind) for c, (_, kind) in zip(table.columns, result.columns) if kind not in KINDS[c.type]
        ]
        assert wrong == [], table.kql


WORDS = "kind last first set title sample query verbose union where by in and or date time int string missing kql to"


def test_keywords_as_dimensions(valid: Check) -> None:
    """A dimension may have the name of a keyword of KQL."""
    words = [
        *WORDS.split(),
        "customDimensions",
        "Properties",
        "timestamp",
        "records",
        "true",
        "null",
        "-",
        "1",
    ]
    tables = [ASK.logs(where={word: "x"}) for word in words] + [ASK.count(by=[word, "fold"]) for word in words
              if word not in ("timestamp", "records")]  # fmt: skip
    valid([pair for table in tables for pair in both_dialects(table)])


HARD = st.text(
    st.one_of(st.sampled_from("\"'\\\n\r\t|%_*?[]{}()$.~/@`#; "), st.characters(exclude_categories=["Cs"])),
    max_size=15,
)
FRAGMENTS = st.sampled_from(
    ['" or true //', "x' | take 0", '") | union exceptions | where ("', "*/", "\\", '\\"', "{{x}}", "'''", "```",
     '"\n| where true', "@'", 'h"', "//", "\u2028", "\x00", "[", "']", '"]', "let x = 1;", "${x}", "\ud83d\ude00"]
).map(lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16"))  # fmt: skip
TEXTS = st.one_of(HARD, FRAGMENTS, st.builds("{}{}".format, HARD, FRAGMENTS))


def draw_queries(ask: Any, count: int) -> list[tuple[str, str]]:
    """Return the queries that `ask` generates for `count` examples of hypothesis, so that all are checked at once."""
    queries: list[tuple[str, str]] = []

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        queries.extend(ask(data.draw))

    draw()
    return queries


def test_arguments_with_kql(valid: Check) -> None:
    """Arguments with quotes, backslashes, line ends and KQL stay string literals."""

    def ask(draw: Any) -> list[tuple[str, str]]:
        a, b, c, key = draw(TEXTS), draw(TEXTS), draw(TEXTS), draw(TEXTS)
        name = draw(st.sampled_from(NAMES))
        filters = {
            "step_id": [a, b],
            "run_type": c or "x",
            "contains": b,
            "where": {key or "k": [c, a], "k": b},
        }
        tables = [
            getattr(ASK, name)(**filters),
            ASK.logs(a),
            ASK.count(by=[key or "k"]),
            ASK.spans(name=[a, b]),
        ]
        return [pair for table in tables for pair in both_dialects(table)]

    queries = draw_queries(ask, 20)
    valid(queries)
    for _, text in queries:  # no argument begins or ends a line
        prefixes = ("union", "|", "    ", "App", "traces", "exceptions", "requests", "dependencies", "custom")
        assert all(line.startswith(prefixes) for line in text.split("\n"))


def test_alert_and_workbook(valid: Check) -> None:
    """The queries of alert rules and workbooks are valid, read back from their JSON."""

    def ask(draw: Any) -> list[tuple[str, str]]:
        a, b = draw(TEXTS) or "x", draw(TEXTS) or "y"
        generated = []
        for dialect, resource_id in IDS.items():
            filters: dict[str, Any] = {"run_type": [a, b], "step_name": b, "where": {a: b}}
            rule = json.loads(templates.arm(rules.alert(resource_id, **filters)))
            page = json.loads(templates.arm(rules.workbook(resource_id, **filters)))
            (criterion,) = rule["resources"][0]["properties"]["criteria"]["allOf"]
            items = page["variables"]["content"]["items"]
            queries = [item["content"]["query"] for item in items if "query" in item["content"]]
            assert len(queries) == 5
            generated += [(dialect, text) for text in (criterion["query"], *queries)]
        return generated

    each = [rules.errors_query(of, run_type="x", step_name="s", contains="é") for of in rules.ERROR_TABLES]
    single = [("classic", kql.classic(query)) for query in each] + [
        ("workspace", kql.workspace(query)) for query in each
    ]
    for result in valid(single):
        assert {"timestamp", *rules.GROUP_BY} <= {name for name, _ in result.columns}
    results = valid(draw_queries(ask, 4))
    names = {name for name, _ in results[0].columns}
    assert {"timestamp", *rules.GROUP_BY} <= names  # the rule splits by these columns


def test_links(valid: Check) -> None:
    """The query for one operation is valid in both dialects for any id."""
    ids = ("0af7651916cd43dd8448eb211c80319c", 'x" or true //')
    addresses = [
        (name, links.operation(resource_id, id_)) for name, resource_id in IDS.items() for id_ in ids
    ]
    valid([(name, query_in(link)) for name, link in addresses])


def query_in(link: str) -> str:
    """Return the KQL that a link opens."""
    packed = unquote(link.partition("/q/")[2].partition("/")[0])
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_documents(valid: Check) -> None:
    """Every KQL block in the documents is valid."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    block = re.compile(r"^```(?:kql|kusto)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    texts = [text for page in sorted(pages) for text in block.findall(page.read_text(encoding="utf-8"))]
    valid([("workspace" if re.search(r"\bApp[A-Z]", text) else "classic", text) for text in texts])


@pytest.mark.parametrize(
    ("dialect", "text", "code"),
    [
        ("classic", 'traces | where mesage == "x"', "KS142"),
        ("classic", "trace | take 1", "KS204"),
        ("classic", "traces | where (severityLevel >= 3", "KS005"),
        ("classic", "traces | project last = message", "KS228"),
        ("classic", "AppTraces | take 1", "KS204"),
        ("workspace", "traces | take 1", "KS204"),
        ("workspace", "AppTraces | where customDimensions.fold == 3", "KS142"),
        ("classic", 'traces | where message == "a"b"', ""),
        ("classic", "traces | where message + 1 > 2", ""),
        ("classic", "dependencies | where severityLevel > 2", "KS142"),
    ],
)
def test_errors_are_found(service: language.Service, dialect: str, text: str, code: str) -> None:
    """A wrong column, table, dialect, bracket, keyword, literal or type is an error."""
    (result,) = service([(dialect, text)])
    assert result.errors and (not code or code in [error[0] for error in result.errors])


def test_an_unescaped_literal_is_found(service: language.Service) -> None:
    """A literal that is not escaped is an error, so that the tests above can fail."""
    right = ASK.logs('a" or b').kql
    wrong = right.replace('\\"', '"')
    assert right != wrong and kql_literals.literal('a" or b') in right
    assert [bool(result.errors) for result in service([("classic", right), ("classic", wrong)])] == [
        False,
        True,
    ]
