"""The store over the service: the same answers as from journals, in pages."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

pytest.importorskip("duckdb")

from amllog.errors import ServiceError, UsageError
from amllog.insights import Questions, Table, connect
from amllog.insights.query import cell_types
from amllog.insights.query.query import Query
from amllog.insights.stores.service.client import QueryClient
from amllog.insights.stores.service.scope import parse_scope
from amllog.insights.stores.service.service_store import UNBOUNDED, ServiceStore, timespan
from amllog.local import AzureOnThisMachine, Fault

from ...conftest import RUN, failure, log, step  # isort: skip
from ..local.test_other_formats import QUERIES, SENT  # isort: skip
from ...test_questions import NAMES, TEXTS, comparable, everything  # isort: skip
from ...test_metric_rows import folded  # isort: skip
from .conftest import (  # isort: skip
    connect_to,
    count_queries,
    paged_questions,
    runs_kql,
    send,
    unknown_table_body,
)

IDS = ("resource_id", "workspace_id", "app_id")
NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


# The same rows from both stores.


@runs_kql
@pytest.mark.parametrize("kind", IDS)
def test_every_question_has_the_same_rows(
    local_azure: Callable[..., AzureOnThisMachine], journal: Callable[..., Path], kind: str
) -> None:
    """The rows are equal to those from journals in values and types, in both dialects, with each filter."""
    lines = [*everything(), *folded()]
    local, service = connect(journal(*lines).parent), connect_to(local_azure(*lines), kind)
    narrows: list[dict[str, Any]] = [
        {"contains": "a"},
        {"since": "2026-11-22", "until": "2026-11-22T10:00:07Z"},
        {"last": timedelta(days=20_000), "parent_run_id": [RUN, "other"], "where": {"fold": ["3", ""]}},
    ]
    # end_to_end/reading/test_equal_stores.py combines each argument with each question.
    for number, name in enumerate(NAMES, IDS.index(kind)):
        for narrow in ({}, narrows[number % 3]) if kind != "app_id" else ({},):
            ours, theirs = getattr(local, name)(**narrow), getattr(service, name)(**narrow)
            assert theirs.columns == ours.columns
            assert comparable(theirs) == comparable(ours), (name, narrow)
            assert [{k: type(v) for k, v in row.items()} for row in theirs[:1] or ()] == [
                {k: type(v) for k, v in row.items()} for row in ours[:1] or ()
            ]
    assert comparable(service.count(by=["level", "fold"])) == comparable(local.count(by=["level", "fold"]))
    assert comparable(service.logs(level="ERROR")) == comparable(local.logs(level="ERROR")) != []


@runs_kql
@pytest.mark.parametrize("kind", ["resource_id", "workspace_id"])
def test_stories_are_the_same(
    local_azure: Callable[..., AzureOnThisMachine], journal: Callable[..., Path], kind: str
) -> None:
    """Reports of several queries are equal, and so are runs named by a prefix or as the last one."""
    lines = everything()
    local, service = connect(journal(*lines).parent), connect_to(local_azure(*lines), kind)
    for name, runs in (
        ("story", [RUN]),
        ("story", ["last" if kind == "workspace_id" else RUN[:5]]),
        ("compare", [RUN, "other"]),
        ("tree", [RUN]),
    ):
        # The time since the last record of a step depends on the current time, which differs between the two.
        ours, theirs = (
            re.sub(r", \d+ [^,]* ago", "", str(getattr(questions, name)(*runs)))
            for questions in (local, service)
        )
        assert comparable_text(theirs.replace(f"\n({UNBOUNDED})", "")) == comparable_text(ours)
        assert len(ours) > 100
    next_steps = "\n".join(service.story().next)
    assert ("end-to-end transaction: https://" in next_steps) == (kind == "resource_id"), next_steps
    assert ("in the portal: https://" in next_steps) == (kind == "resource_id")


@runs_kql
def test_the_four_questions_of_the_guide(
    local_azure: Callable[..., AzureOnThisMachine], journal: Callable[..., Path]
) -> None:
    """A pipeline run, the records of training in the last week, its errors, and their number."""
    lately, before = (
        f"{datetime.now(timezone.utc) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (1, 8)
    )
    training, scoring = {"run_type": "training"}, {"run_type": "scoring", "parent_run_id": "other"}
    lines = [
        log("old", 3, before, **training), log("loaded", 1, lately, **training), log("odd", 2, lately, **training),
        log("bad", 3, lately, **training), failure("broke", lately, **training), log("scored", 3, lately, **scoring),
    ]  # fmt: skip
    for questions in (connect(journal(*lines).parent), connect_to(local_azure(*lines))):
        week: dict[str, Any] = {"last": "7d", "run_type": "training"}
        assert messages(questions.logs(parent_run_id=RUN)) == ["bad", "broke", "loaded", "odd", "old"]
        assert messages(questions.logs(**week)) == ["bad", "broke", "loaded", "odd"]
        assert messages(questions.logs(**week, level="ERROR")) == ["bad", "broke"]
        assert int(questions.count(**week, level="ERROR")) == 2


def messages(table: Table) -> list[str]:
    """The messages of its rows, sorted."""
    return sorted(row["message"] for row in table)


def comparable_text(text: str) -> str:
    """A report without the parts that only one store has: portal links, processes, journal files."""
    one_side = ("in the portal: ", "end-to-end transaction: ", "not sent yet: ")
    lines = (line for line in text.splitlines() if not any(part in line for part in one_side))
    return re.sub(r"(has not ended): [^.]*", r"\1", "\n".join(lines))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Questions, Questions, Questions]]:
    """Journals, a resource and a workspace with the same records, whose dimensions need escaping."""
    folder = tmp_path_factory.mktemp("stores")
    hard = ['a"b', "back\\slash", "new\nline", "' or 1=1", "%_*", "{{x}}", "//", "é😀", "\x85\u2028", ""]
    lines = [
        log(text, key=text, step_name=text, time=f"2026-11-22T10:00:{n:02d}Z") for n, text in enumerate(hard)
    ]
    (folder / "20261122T100000-node-1-abcdef.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines)
    )
    with AzureOnThisMachine(folder / "azure", strict=False) as azure:
        send(azure, lines)
        yield (
            connect(folder / "20261122T100000-node-1-abcdef.jsonl"),
            connect_to(azure),
            connect_to(azure, "workspace_id"),
        )


@runs_kql
@settings(max_examples=16, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.one_of(TEXTS, st.sampled_from(['a"b', "back\\slash", "new\nline", "{{x}}"])),
    place=st.sampled_from(["contains", "where", "step_name", "by"]),
)
def test_arguments_are_escaped(stores: tuple[Questions, Questions, Questions], text: str, place: str) -> None:
    """Arguments with quotes, backslashes and KQL find the same rows in each store."""
    narrow: dict[str, Any] = {
        "contains": {"contains": text},
        "where": {"where": {"key": [text, "%_*"]}},
        "step_name": {"step_name": [text, "//"]},
        "by": {"by": f"k{text}"},
    }[place]
    ours, *theirs = (comparable((store.count if place == "by" else store.logs)(**narrow)) for store in stores)
    assert theirs == [ours, ours]


@runs_kql
def test_new_records_are_found(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """The local service caches the records that it has read until it receives more."""
    azure = local_azure(log("first"))
    workspace, resource = connect_to(azure, "workspace_id"), connect_to(azure)
    for number in range(1, 4):
        assert [len(questions.logs(since="2026-11-22")) for questions in (workspace, resource)] == [
            number
        ] * 2
        send(azure, [log(f"more {number}")])
    (row,) = resource.store.query("union * | summarize n = count()")
    assert row["n"] == 4


# Pages.


def records_by_time(*sizes: int) -> list[Any]:
    """Records in groups with one timestamp each, 1 ms apart."""
    return [
        log(f"{n}.{i}", time=f"2026-11-22T10:00:00.{n:03d}Z")
        for n, size in enumerate(sizes)
        for i in range(size)
    ]


@runs_kql
@pytest.mark.parametrize(("page_rows", "rows_max"), [(6, 500_000), (7, 6), (100, 6), (100, 500_000)])
def test_pages_have_each_record_once(
    local_azure: Callable[..., AzureOnThisMachine], page_rows: int, rows_max: int
) -> None:
    """Each record is returned once, in time order and without a note, for all page sizes and limits."""
    sizes = [1, 3, 2, 1, 1, 5, 1, 4]
    azure = local_azure(*records_by_time(*sizes), rows=rows_max)
    questions = paged_questions(azure, page_rows)  # one more than the records of one timestamp
    wanted = [f"{n}.{i}" for n, size in enumerate(sizes) for i in range(size)]
    for newest_first in (False, True):
        table = questions.logs(newest_first=newest_first)
        times = [row["timestamp"] for row in table]
        assert Counter(row["message"] for row in table) == Counter(wanted)
        assert times == sorted(times, reverse=newest_first)
        assert table.notes == (UNBOUNDED,)
        assert [row["timestamp"] for row in questions.logs(newest_first=newest_first, limit=9)] == times[:9]
    assert (count_queries(azure) > 6) == (min(page_rows, rows_max) < 18)


@runs_kql
def test_a_page_of_one_timestamp_grows(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """Only records beyond the limit of one response are missing, and the note has their time."""
    azure = local_azure(*records_by_time(1, 9, 1), rows=4)
    table = paged_questions(azure, 2).logs(since="2026-11-22")
    assert Counter(row["message"][0] for row in table) == {"0": 1, "1": 4, "2": 1}
    assert table.notes == ("more than 4 records of 2026-11-22T10:00:00.001000Z: some may be missing",)
    latest = paged_questions(azure, 2).logs(since="2026-11-22", newest_first=True)
    assert [row["message"][0] for row in latest] == ["2", "1", "1", "1", "1", "0"]


@runs_kql
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.integers(1, 4), max_size=12), page=st.integers(5, 12), latest=st.booleans())
def test_pages_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], page: int, latest: bool
) -> None:
    """Groups of any sizes are complete in pages of any size that holds one."""
    with AzureOnThisMachine(tmp_path_factory.mktemp("azure"), strict=False) as azure:
        if sizes:
            send(azure, records_by_time(*sizes))
        table = paged_questions(azure, page).logs(newest_first=latest)
    assert Counter(row["message"] for row in table) == Counter(
        f"{n}.{i}" for n, size in enumerate(sizes) for i in range(size)
    )


@runs_kql
def test_a_truncated_summary_has_a_note(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """A summary cannot be paged. Its first rows are returned with a note."""
    azure = local_azure(*(log("x", fold=str(n)) for n in range(9)), rows=4)
    table = connect_to(azure).count(by="fold", since="2026-11-22")
    assert len(table) == 4
    assert "exceed the set limit of 4 records" in table.notes[0]
    assert table.notes[0].endswith("Use a shorter time range or fewer columns")


# Partial answers and time ranges.


@runs_kql
def test_partial_answers_are_rows_and_a_note(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """The rows are returned, and the service's message about the rest is a note."""
    azure = local_azure(log("here"), log("lost on the way"))
    azure.faults.put(Fault(service="query", item="lost", status=500, message="one part did not answer"))
    for table in (
        connect_to(azure).logs(last="900d"),
        connect_to(azure).store.query("traces | project message"),
    ):
        assert [row["message"] for row in table] == ["here"]
        assert table.notes == ("the answer is not complete: one part did not answer",)


def test_the_time_range_contains_that_of_the_query() -> None:
    """The time range of the request contains that of the query, and a query without one has none."""
    base = Query(("traces",), ("timestamp",))
    since, until = NOW - timedelta(days=3), NOW - timedelta(days=2)
    assert timespan(base, NOW) is None
    for query, first, last in (
        (Query(("traces",), ("timestamp",), since, until), since, until),
        (Query(("traces",), ("timestamp",), since), since, NOW),
        (Query(("traces",), ("timestamp",), None, until), datetime(1971, 1, 1, tzinfo=timezone.utc), until),
        (Query(("traces",), ("timestamp",), timedelta(days=7)), NOW - timedelta(days=7), NOW),
        (Query(("traces",), ("timestamp",), until, since), until, until),
    ):
        begin, end = map(cell_types.to_time, str(timespan(query, NOW)).split("/"))
        assert begin is not None and end is not None
        assert begin <= first and last <= end


@runs_kql
def test_a_record_with_a_clock_ahead(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """A record with a time in two hours is found by `last`, and by its hour."""
    ahead = datetime.now(timezone.utc) + timedelta(hours=2)
    service = connect_to(local_azure(log("ahead", time=ahead.strftime("%Y-%m-%dT%H:%M:%S.%fZ")), log("old")))
    assert [row["message"] for row in service.logs(last="1h")] == ["ahead"]
    assert [row["message"] for row in service.logs(since=ahead - timedelta(minutes=1))] == ["ahead"]
    assert service.logs().notes == (UNBOUNDED,)
    assert service.logs(last="1h").notes == ()


# Tables and dialects.


@runs_kql
def test_tables_that_do_not_exist_yet(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """Tables that do not exist yet have no rows, and a scope without any table is an error."""
    azure = local_azure(log("hello"))
    workspace = connect_to(azure, "workspace_id")
    azure.faults.put(Fault(service="query", status=400, body=unknown_table_body("AppExceptions"), times=1))
    table = workspace.logs(last="900d")
    assert [row["message"] for row in table] == ["hello"]
    assert table.notes == ("the table AppExceptions does not exist yet",)
    for name in ("AppTraces", "AppExceptions"):
        azure.faults.put(Fault(service="query", status=400, body=unknown_table_body(name), times=1))
    with pytest.raises(UsageError, match="has no table AppExceptions: tables appear some minutes after"):
        workspace.logs()


@runs_kql
def test_the_dialect_is_detected(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """The other table names are tried with one more request, and are used from then on."""
    azure = local_azure(log("hello"))
    scope = parse_scope("resource_id", azure.resource_id, endpoint=azure.query_endpoint)
    questions = Questions(ServiceStore(QueryClient(scope._replace(dialects=("workspace", "classic")))))
    assert [row["message"] for _ in range(2) for row in questions.logs(last="900d")] == ["hello"] * 2
    assert count_queries(azure) == 3
    with pytest.raises(UsageError, match=r"has no table App(Traces|Exceptions)"):
        connect_to(azure, dialect="workspace").logs()


@runs_kql
def test_free_kql(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """KQL is sent unchanged. Errors contain its fault, or the name that the table has in the scope."""
    azure = local_azure(log("hello", 3), step("train"))
    resource, workspace = connect_to(azure).store, connect_to(azure, "workspace_id").store
    table = resource.query("traces | project timestamp, message, n = 2, none = real(null)")
    assert table.to_dicts() == [
        {
            "timestamp": datetime(2026, 11, 22, 10, tzinfo=timezone.utc),
            "message": "hello",
            "n": 2,
            "none": None,
        }
    ]
    assert workspace.query("AppRequests | project Name, Success").to_dicts() == [
        {"Name": "train", "Success": True}
    ]
    for store, text, message in (
        (workspace, "traces | take 1", "has no table traces: it may be AppTraces there"),
        (resource, "AppTraces | take 1", "has no table AppTraces: it may be traces there"),
        (resource, "nothing | take 1", "cannot answer this KQL: Failed to resolve table .* 'nothing'"),
        (resource, "traces | where colour == 1", "scalar expression named 'colour'"),
        (resource, "traces | where (", "could not be parsed at"),
        (resource, "", "The query is empty"),
    ):
        with pytest.raises(UsageError, match=message):
            store.query(text)
    with pytest.raises(ServiceError, match="returned HTTP 501: Not in the local Azure"):
        resource.query("traces | extend x = todecimal(1)")


def test_tables_have_kql_of_both_dialects(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """The table has the KQL of the question in both dialects, without the pages."""
    azure = local_azure()
    azure.faults.put(Fault(service="query", body=json.dumps({"tables": [{"columns": [], "rows": []}]})))
    table: Table = paged_questions(azure, 3).logs(RUN)
    assert table.kql.startswith("union traces, exceptions") and "AppTraces" in table.kql_workspace
    assert "take" not in table.kql + table.kql_workspace


@runs_kql
def test_queries_of_microsofts_pages(local_azure: Callable[..., AzureOnThisMachine]) -> None:
    """Queries from Microsoft's pages return the same rows over HTTP as over journals, in both dialects."""
    sent = copy.deepcopy(SENT)
    for line in sent:
        line["time"] = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.1234567Z}"
        line["iKey"] = "00000000-0000-0000-0000-0000000010ca"
        if line["data"]["baseType"] == "RequestData":
            line["data"]["baseData"]["responseCode"] = "200"
    azure = local_azure(*sent)
    for kql, rows in QUERIES.items():
        store = connect_to(azure, "workspace_id" if kql.startswith("App") else "resource_id").store
        assert [tuple(row.values()) for row in store.query(kql)] == rows, kql
