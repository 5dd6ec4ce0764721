"""Every KQL text that we can produce passes Microsoft's own language service, with the published tables' schemas."""

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
from amllog.insights.query import kql
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions
from amllog.insights.stores.store import Unasked

from .. import language

pytestmark = pytest.mark.skipif(bool(language.missing()), reason=language.missing() or "it is there")

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


Understood = Callable[[list[tuple[str, str]]], list[language.Said]]


@pytest.fixture(scope="module")
def service() -> Iterator[language.Service]:
    """The language service, once for all tests."""
    with language.Service() as running:
        yield running


@pytest.fixture
def understood(service: language.Service) -> Understood:
    """Asserts that none of the queries has a fault."""

    def ask(queries: list[tuple[str, str]]) -> list[language.Said]:
        assert queries
        said = service(queries)
        assert [(query, one.faults) for query, one in zip(queries, said) if one.faults] == []
        return said

    return ask


def both(table: Table) -> list[tuple[str, str]]:
    """A question's KQL in both dialects."""
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


def test_every_question(understood: Understood) -> None:
    """Each of them with each argument, in both dialects; and the columns are those that the table says."""
    tables = [getattr(ASK, name)(**narrow) for name in NAMES for narrow in ({}, EVERYTHING)]
    tables += [ASK.logs(**narrow) for narrow in TIMES]
    tables += [getattr(ASK, name)("run") for name in NAMES if name != "runs"]
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    tables += [ASK.logs(level=level) for level in levels] + [
        getattr(ASK, name)(level="ERROR") for name in LEVELS
    ]
    tables += [ASK.logs(limit=5, newest_first=True), ASK.errors(limit=5), ASK.metrics(name=["a", "b"])]
    tables += [ASK.count(by="level"), ASK.count(by=["step_name", "fold"]), ASK.count(by="with space")]
    said = understood([pair for table in tables for pair in both(table)])
    for table, one in zip([table for table in tables for _ in range(2)], said):
        assert [name for name, _ in one.columns] == list(table.names), table.kql
        wrong = [
            (c.name, kind) for c, (_, kind) in zip(table.columns, one.columns) if kind not in KINDS[c.type]
        ]
        assert wrong == [], table.kql


WORDS = "kind last first set title sample query verbose union where by in and or date time int string missing kql to"


def test_keywords_as_dimensions(understood: Understood) -> None:
    """A dimension may be called like anything, also like a word of KQL."""
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
    understood([pair for table in tables for pair in both(table)])


HARD = st.text(
    st.one_of(st.sampled_from("\"'\\\n\r\t|%_*?[]{}()$.~/@`#; "), st.characters(exclude_categories=["Cs"])),
    max_size=15,
)
FRAGMENTS = st.sampled_from(
    ['" or true //', "x' | take 0", '") | union exceptions | where ("', "*/", "\\", '\\"', "{{x}}", "'''", "```",
     '"\n| where true', "@'", 'h"', "//", "\u2028", "\x00", "[", "']", '"]', "let x = 1;", "${x}", "\ud83d\ude00"]
).map(lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16"))  # fmt: skip
TEXTS = st.one_of(HARD, FRAGMENTS, st.builds("{}{}".format, HARD, FRAGMENTS))


def drawn(ask: Any, count: int) -> list[tuple[str, str]]:
    """The queries that `ask` makes of `count` of hypothesis' examples; asked about all at once."""
    found: list[tuple[str, str]] = []

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        found.extend(ask(data.draw))

    draw()
    return found


def test_whatever_is_asked_for(understood: Understood) -> None:
    """Arguments full of quotes, backslashes, line ends and KQL stay what they are: texts."""

    def ask(draw: Any) -> list[tuple[str, str]]:
        a, b, c, key = draw(TEXTS), draw(TEXTS), draw(TEXTS), draw(TEXTS)
        name = draw(st.sampled_from(NAMES))
        narrow = {
            "step_id": [a, b],
            "run_type": c or "x",
            "contains": b,
            "where": {key or "k": [c, a], "k": b},
        }
        tables = [
            getattr(ASK, name)(**narrow),
            ASK.logs(a),
            ASK.count(by=[key or "k"]),
            ASK.spans(name=[a, b]),
        ]
        return [pair for table in tables for pair in both(table)]

    queries = drawn(ask, 20)
    understood(queries)
    for _, text in queries:  # nothing that was given ends a line, or begins one
        begins = ("union", "|", "    ", "App", "traces", "exceptions", "requests", "dependencies", "custom")
        assert all(line.startswith(begins) for line in text.split("\n"))


def test_alert_and_workbook(understood: Understood) -> None:
    """What `amllog alert` and `amllog workbook` write, read back from their JSON."""

    def ask(draw: Any) -> list[tuple[str, str]]:
        a, b = draw(TEXTS) or "x", draw(TEXTS) or "y"
        found = []
        for dialect, resource_id in IDS.items():
            narrow: dict[str, Any] = {"run_type": [a, b], "step_name": b, "where": {a: b}}
            rule = json.loads(templates.arm(rules.alert(resource_id, **narrow)))
            page = json.loads(templates.arm(rules.workbook(resource_id, **narrow)))
            (criterion,) = rule["resources"][0]["properties"]["criteria"]["allOf"]
            items = page["variables"]["content"]["items"]
            queries = [one["content"]["query"] for one in items if "query" in one["content"]]
            assert len(queries) == 5
            found += [(dialect, text) for text in (criterion["query"], *queries)]
        return found

    each = [rules.errors_query(of, run_type="x", step_name="s", contains="é") for of in rules.ERROR_TABLES]
    single = [("classic", kql.classic(one)) for one in each] + [
        ("workspace", kql.workspace(one)) for one in each
    ]
    for one in understood(single):
        assert {"timestamp", *rules.GROUP_BY} <= {name for name, _ in one.columns}
    said = understood(drawn(ask, 4))
    names = {name for name, _ in said[0].columns}
    assert {"timestamp", *rules.GROUP_BY} <= names  # what the rule splits by must come out


def test_links(understood: Understood) -> None:
    """The query of one operation, in both dialects, whatever its id is."""
    ids = ("0af7651916cd43dd8448eb211c80319c", 'x" or true //')
    asked = [(name, links.operation(resource_id, one)) for name, resource_id in IDS.items() for one in ids]
    understood([(name, query_in(link)) for name, link in asked])


def query_in(link: str) -> str:
    """The KQL that a link opens."""
    packed = unquote(link.partition("/q/")[2].partition("/")[0])
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_documents(understood: Understood) -> None:
    """Every KQL block of the documents."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    block = re.compile(r"^```(?:kql|kusto)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    found = [text for page in sorted(pages) for text in block.findall(page.read_text(encoding="utf-8"))]
    understood([("workspace" if re.search(r"\bApp[A-Z]", text) else "classic", text) for text in found])


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
def test_wrong_queries_are_found(service: language.Service, dialect: str, text: str, code: str) -> None:
    """A wrong column, table, dialect, bracket, keyword, literal or type: each is a fault."""
    (said,) = service([(dialect, text)])
    assert said.faults and (not code or code in [fault[0] for fault in said.faults])


def test_a_text_that_breaks_out_is_found(service: language.Service) -> None:
    """The test above fails where a literal is not escaped, as it must."""
    right = ASK.logs('a" or b').kql
    wrong = right.replace('\\"', '"')
    assert right != wrong and kql.literal('a" or b') in right
    assert [bool(one.faults) for one in service([("classic", right), ("classic", wrong)])] == [
        False,
        True,
    ]
