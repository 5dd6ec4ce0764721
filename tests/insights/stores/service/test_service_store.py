"""The store over the service: the same answers as from journals, through the real LogsQueryClient and real HTTP."""

from __future__ import annotations

import copy
import http.client
import importlib.util
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

pytest.importorskip("duckdb")
pytest.importorskip("azure.monitor.query")

from amllog.errors import AmllogError, ServiceError, UsageError
from amllog.insights import Questions, Table, connect
from amllog.insights.query import cell_types
from amllog.insights.query.query import Query
from amllog.insights.stores.service.client import QueryClient
from amllog.insights.stores.service.rate_limit import RateLimit
from amllog.insights.stores.service.scope import Scope, parse_scope
from amllog.insights.stores.service.service_store import UNBOUNDED, ServiceStore, timespan
from amllog.local import AzureOnThisMachine, Fault

from ...conftest import RUN, failure, log, step  # isort: skip
from ..local.test_other_formats import QUERIES, SENT  # isort: skip
from ...test_questions import NAMES, TEXTS, comparable, everything  # isort: skip
from ...test_metric_rows import folded  # isort: skip

runs_kql = pytest.mark.skipif(
    importlib.util.find_spec("duckdb_kql") is None,
    reason="the query service on this machine runs KQL by duckdb-kql, which needs Python 3.11",
)
IDS = ("resource_id", "workspace_id", "app_id")
COMPONENT = "/subscriptions/s/resourceGroups/r/providers/microsoft.insights/components/c"
NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


def send(azure: AzureOnThisMachine, lines: list[Any]) -> None:
    """Have ingestion take the envelopes, as an SDK does."""
    connection = http.client.HTTPConnection(azure.url.partition("//")[2], timeout=300)
    path = f"{azure.ingestion_endpoint[len(azure.url) :]}/v2.1/track"
    connection.request("POST", path, json.dumps(lines), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["itemsAccepted"] == len(lines), answer


@pytest.fixture
def far_side(tmp_path: Path) -> Iterator[Callable[..., AzureOnThisMachine]]:
    """Starts a far side that has got these envelopes: `far_side(log("hello"), …, rows=7)`."""
    started: list[AzureOnThisMachine] = []

    def start(*lines: Any, rows: int = 500_000, strict: bool = False) -> AzureOnThisMachine:
        azure = AzureOnThisMachine(tmp_path / f"far{len(started)}", strict=strict, query_rows_max=rows)
        started.append(azure.start())
        if lines:
            send(azure, list(lines))
        return azure

    yield start
    for azure in started:
        azure.stop()


def asked(azure: AzureOnThisMachine, name: str = "resource_id", **more: Any) -> Questions:
    """The questions over one of its ids."""
    return connect(**{name: getattr(azure, name)}, endpoint=azure.query_endpoint, **more)


def paged(
    azure: AzureOnThisMachine, page_rows: int = 50_000, slept: list[float] | None = None, **own: Any
) -> Questions:
    """The questions over its resource in small pages; pauses are written down and not made."""
    rate_limit = RateLimit(sleep=([] if slept is None else slept).append)
    found = parse_scope("resource_id", azure.resource_id, endpoint=azure.query_endpoint)
    return Questions(ServiceStore(QueryClient(found, rate_limit=rate_limit, **own), page_rows=page_rows))


def queries(azure: AzureOnThisMachine) -> int:
    """How many queries it was sent."""
    return sum(1 for one in azure.requests_log if one.service == "query")


def error_body(code: str, message: str, *inner: tuple[str, str]) -> str:
    """An error as the service nests it."""
    error: dict[str, Any] = {"code": code, "message": message}
    deepest = error
    for inner_code, inner_message in inner:
        deepest["innererror"] = {"code": inner_code, "message": inner_message}
        deepest = deepest["innererror"]
    return json.dumps({"error": error})


def unknown_table(name: str) -> str:
    """What the service says where a table is not known."""
    told = f"'union' operator: Failed to resolve table or column expression named '{name}'"
    semantic = ("SemanticError", "A semantic error occurred."), ("SEM0100", told)
    return error_body("BadArgumentError", "The request had some invalid properties", *semantic)


# The same rows by both ways.


@runs_kql
@pytest.mark.parametrize("kind", IDS)
def test_every_question_has_the_same_rows(
    far_side: Callable[..., AzureOnThisMachine], journal: Callable[..., Path], kind: str
) -> None:
    """As from journals, value for value and type for type, in both dialects, however it is narrowed."""
    lines = [*everything(), *folded()]
    local, service = connect(journal(*lines).parent), asked(far_side(*lines), kind)
    narrows: list[dict[str, Any]] = [
        {"contains": "a"},
        {"since": "2026-11-22", "until": "2026-11-22T10:00:07Z"},
        {"last": timedelta(days=20_000), "parent_run_id": [RUN, "other"], "where": {"fold": ["3", ""]}},
    ]
    for number, name in enumerate(
        NAMES, IDS.index(kind)
    ):  # test_same_rows has each argument with each question
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
    far_side: Callable[..., AzureOnThisMachine], journal: Callable[..., Path], kind: str
) -> None:
    """What is told from several questions, and runs that are named by a prefix or as the last one."""
    lines = everything()
    local, service = connect(journal(*lines).parent), asked(far_side(*lines), kind)
    for name, runs in (
        ("story", [RUN]),
        ("story", ["last" if kind == "workspace_id" else RUN[:5]]),
        ("compare", [RUN, "other"]),
        ("tree", [RUN]),
    ):
        # How long ago a step last spoke is counted from now, which may be the next minute for the second.
        ours, theirs = (
            re.sub(r", \d+ [^,]* ago", "", str(getattr(one, name)(*runs))) for one in (local, service)
        )
        assert told(theirs.replace(f"\n({UNBOUNDED})", "")) == told(ours)
        assert len(ours) > 100
    found = "\n".join(service.story().next)
    assert ("end-to-end transaction: https://" in found) == (kind == "resource_id"), found
    assert ("in the portal: https://" in found) == (kind == "resource_id")


@runs_kql
def test_the_four_questions_of_the_guide(
    far_side: Callable[..., AzureOnThisMachine], journal: Callable[..., Path]
) -> None:
    """Everything of a pipeline run; what training said in the last week; its errors and exceptions; how many."""
    lately, before = (
        f"{datetime.now(timezone.utc) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (1, 8)
    )
    training, scoring = {"run_type": "training"}, {"run_type": "scoring", "parent_run_id": "other"}
    lines = [
        log("old", 3, before, **training), log("loaded", 1, lately, **training), log("odd", 2, lately, **training),
        log("bad", 3, lately, **training), failure("broke", lately, **training), log("scored", 3, lately, **scoring),
    ]  # fmt: skip
    for found in (connect(journal(*lines).parent), asked(far_side(*lines))):
        week: dict[str, Any] = {"last": "7d", "run_type": "training"}
        assert messages(found.logs(parent_run_id=RUN)) == ["bad", "broke", "loaded", "odd", "old"]
        assert messages(found.logs(**week)) == ["bad", "broke", "loaded", "odd"]
        assert messages(found.logs(**week, level="ERROR")) == ["bad", "broke"]
        assert int(found.count(**week, level="ERROR")) == 2


def messages(table: Table) -> list[str]:
    """What its rows say, sorted."""
    return sorted(row["message"] for row in table)


def told(text: str) -> str:
    """A story without what only one side can know: links of the resource's portal, processes, journal files."""
    one_side = ("in the portal: ", "end-to-end transaction: ", "not sent yet: ")
    lines = (line for line in text.splitlines() if not any(what in line for what in one_side))
    return re.sub(r"(has not ended): [^.]*", r"\1", "\n".join(lines))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Questions, Questions, Questions]]:
    """Journals, a resource and a workspace with the same records, whose dimensions are hard to read."""
    folder = tmp_path_factory.mktemp("stores")
    hard = ['a"b', "back\\slash", "new\nline", "' or 1=1", "%_*", "{{x}}", "//", "é😀", "\x85\u2028", ""]
    lines = [
        log(text, key=text, step_name=text, time=f"2026-11-22T10:00:{n:02d}Z") for n, text in enumerate(hard)
    ]
    (folder / "20261122T100000-node-1-abcdef.jsonl").write_text(
        "".join(json.dumps(one) + "\n" for one in lines)
    )
    with AzureOnThisMachine(folder / "far", strict=False) as azure:
        send(azure, lines)
        yield (
            connect(folder / "20261122T100000-node-1-abcdef.jsonl"),
            asked(azure),
            asked(azure, "workspace_id"),
        )


@runs_kql
@settings(max_examples=16, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.one_of(TEXTS, st.sampled_from(['a"b', "back\\slash", "new\nline", "{{x}}"])),
    place=st.sampled_from(["contains", "where", "step_name", "by"]),
)
def test_whatever_is_asked_for(stores: tuple[Questions, Questions, Questions], text: str, place: str) -> None:
    """Arguments full of quotes, backslashes and KQL find the same rows by every way, and nothing breaks out."""
    if place == "by" and set(text) & {"\\", '"'}:  # such keys duckdb-kql 1.1.2 does not find
        place = "where"
    narrow: dict[str, Any] = {
        "contains": {"contains": text},
        "where": {"where": {"key": [text, "%_*"]}},
        "step_name": {"step_name": [text, "//"]},
        "by": {"by": f"k{text}"},
    }[place]
    ours, *theirs = (comparable((one.count if place == "by" else one.logs)(**narrow)) for one in stores)
    assert theirs == [ours, ours]


@runs_kql
def test_what_has_just_arrived(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """The far side keeps what it has read, until there is more."""
    azure = far_side(log("first"))
    workspace, resource = asked(azure, "workspace_id"), asked(azure)
    for number in range(1, 4):
        assert [len(one.logs(since="2026-11-22")) for one in (workspace, resource)] == [number] * 2
        send(azure, [log(f"more {number}")])
    (row,) = resource.store.query("union * | summarize n = count()")
    assert row["n"] == 4


# Pages.


def bunches(*sizes: int) -> list[Any]:
    """Records in bunches of one instant each, 1 ms apart."""
    return [
        log(f"{n}.{i}", time=f"2026-11-22T10:00:00.{n:03d}Z")
        for n, size in enumerate(sizes)
        for i in range(size)
    ]


@runs_kql
@pytest.mark.parametrize(("page_rows", "rows_max"), [(6, 500_000), (7, 6), (100, 6), (100, 500_000)])
def test_pages_lose_and_double_nothing(
    far_side: Callable[..., AzureOnThisMachine], page_rows: int, rows_max: int
) -> None:
    """Whatever stands at the seams, and whichever limit cuts: each record once, in time order, without a note."""
    sizes = [1, 3, 2, 1, 1, 5, 1, 4]
    azure = far_side(*bunches(*sizes), rows=rows_max)
    questions = paged(azure, page_rows)  # at least as many as stand at one instant, and one
    wanted = [f"{n}.{i}" for n, size in enumerate(sizes) for i in range(size)]
    for newest_first in (False, True):
        found = questions.logs(newest_first=newest_first)
        times = [row["timestamp"] for row in found]
        assert Counter(row["message"] for row in found) == Counter(wanted)
        assert times == sorted(times, reverse=newest_first)
        assert found.notes == (UNBOUNDED,)
        assert [row["timestamp"] for row in questions.logs(newest_first=newest_first, limit=9)] == times[:9]
    assert (queries(azure) > 6) == (min(page_rows, rows_max) < 18)


@runs_kql
def test_a_page_grows_where_one_instant_fills_it(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """Only what no answer holds at once is left out, and the note says where."""
    azure = far_side(*bunches(1, 9, 1), rows=4)
    found = paged(azure, 2).logs(since="2026-11-22")
    assert Counter(row["message"][0] for row in found) == {"0": 1, "1": 4, "2": 1}
    assert found.notes == ("more than 4 records of 2026-11-22T10:00:00.001000Z: some may not be here",)
    latest = paged(azure, 2).logs(since="2026-11-22", newest_first=True)
    assert [row["message"][0] for row in latest] == ["2", "1", "1", "1", "1", "0"]


@runs_kql
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.integers(1, 4), max_size=12), page=st.integers(5, 12), latest=st.booleans())
def test_any_seams(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], page: int, latest: bool
) -> None:
    """Bunches of any sizes in pages of any size that holds one."""
    with AzureOnThisMachine(tmp_path_factory.mktemp("far"), strict=False) as azure:
        if sizes:
            send(azure, bunches(*sizes))
        found = paged(azure, page).logs(newest_first=latest)
    assert Counter(row["message"] for row in found) == Counter(
        f"{n}.{i}" for n, size in enumerate(sizes) for i in range(size)
    )


@runs_kql
def test_sums_beyond_the_limit_say_so(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """What cannot be asked for in pages is given as far as it goes, with a note."""
    azure = far_side(*(log("x", fold=str(n)) for n in range(9)), rows=4)
    found = asked(azure).count(by="fold", since="2026-11-22")
    assert len(found) == 4
    assert "exceed the set limit of 4 records" in found.notes[0]
    assert found.notes[0].endswith("ask for less time, or fewer columns")


# Partial answers, and time.


@runs_kql
def test_partial_answers_are_rows_and_a_note(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """What came is given; what the service says about the rest stands with it."""
    azure = far_side(log("here"), log("lost on the way"))
    azure.faults.put(Fault(service="query", item="lost", status=500, message="one part did not answer"))
    for found in (asked(azure).logs(last="900d"), asked(azure).store.query("traces | project message")):
        assert [row["message"] for row in found] == ["here"]
        assert found.notes == ("the answer is not complete: one part did not answer",)


def test_the_service_looks_no_narrower_than_the_question() -> None:
    """The time range beside the query contains that of the query; without one the service looks at everything."""
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
def test_a_record_with_a_clock_ahead(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """Of two hours from now: found by `last`, and by the hour that it says."""
    ahead = datetime.now(timezone.utc) + timedelta(hours=2)
    service = asked(far_side(log("ahead", time=ahead.strftime("%Y-%m-%dT%H:%M:%S.%fZ")), log("old")))
    assert [row["message"] for row in service.logs(last="1h")] == ["ahead"]
    assert [row["message"] for row in service.logs(since=ahead - timedelta(minutes=1))] == ["ahead"]
    assert service.logs().notes == (UNBOUNDED,)
    assert service.logs(last="1h").notes == ()


# Throttling and trouble.


@runs_kql
def test_throttled(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """Retry-After is kept, then the answer comes."""
    azure, slept = far_side(log("hello")), []
    azure.faults.put(Fault(service="query", status=429, headers={"Retry-After": "7"}, times=2))
    azure.faults.put(Fault(service="query", status=503, times=1), Fault(service="query", close=True, times=1))
    assert len(paged(azure, slept=slept).logs(last="900d")) == 1
    assert [pause for pause in slept if pause] == [7.0, 7.0, 4.0, 8.0]
    assert queries(azure) == 5


@pytest.mark.parametrize(
    ("headers", "said", "times"),
    [
        ({"Retry-After": "3600"}, "HTTP 429; it asks to wait 3600 s; asked once", 1),
        ({"Retry-After": "0"}, "asked 6 times", 6),
        ({"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}, "asked once", 1),
        ({"Retry-After": "soon"}, "asked 6 times", 6),
        ({}, "HTTP 429; asked 6 times", 6),
    ],
)
def test_throttled_for_too_long(
    far_side: Callable[..., AzureOnThisMachine], headers: dict[str, str], said: str, times: int
) -> None:
    """Nobody waits for an hour without being told, nor asks for ever."""
    azure = far_side()
    azure.faults.put(Fault(service="query", status=429, headers=headers))
    with pytest.raises(ServiceError) as caught:
        paged(azure).logs()
    assert said in str(caught.value)
    assert queries(azure) == times


def test_the_pace_that_the_service_allows() -> None:
    """Never more than 200 requests begin in 30 s, and none waits longer than it must."""
    now = [0.0]
    begun: list[float] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    rate_limit = RateLimit(clock=lambda: now[0], sleep=sleep)
    for _ in range(650):
        with rate_limit.slot():
            begun.append(now[0])
        now[0] += 0.01
    assert min(late - early for early, late in zip(begun, begun[200:])) >= 30.0 - 1e-9
    assert begun[-1] < 91


def test_so_many_at_once() -> None:
    """A sixth request waits until one of five has its answer."""
    rate_limit, lock, seen, inside = RateLimit(at_once=5), threading.Lock(), [0], [0]
    five = threading.Barrier(5)  # nobody has an answer before five have asked

    def ask() -> None:
        with rate_limit.slot():
            with lock:
                inside[0] += 1
                seen[0] = max(seen[0], inside[0])
            five.wait(600)
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen[0] == 5


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ({"status": 401, "body": error_body("InvalidTokenError", "expired")}, UsageError, "az login"),
        (
            {"status": 403, "body": error_body("InsufficientAccessError", "no access")},
            UsageError,
            "no permission to read it (no access): ask its owner for the role Monitoring Reader or Log",
        ),
        ({"status": 404, "body": error_body("PathNotFoundError", "nothing")}, UsageError, "check the id"),
        ({"status": 400, "body": error_body("WorkspaceNotFoundError", "no")}, UsageError, "check the id"),
        ({"status": 400, "body": unknown_table("nonsense")}, UsageError, "cannot answer this KQL: 'union'"),
        ({"status": 413}, UsageError, "cannot answer this KQL"),
        ({"status": 504, "body": "<html>"}, ServiceError, "server_timeout_seconds= (at most 600)"),
        ({"status": 418}, ServiceError, "answered 418"),
        ({"body": "<html>"}, ServiceError, "no readable answer; is http://127.0.0.1"),
        ({"body": "[]"}, ServiceError, "no readable answer"),
        ({"body": ""}, ServiceError, "no readable answer"),
        ({"status": 500}, ServiceError, "HTTP 500; asked 6 times"),
        ({"close": True}, ServiceError, "connections break off; asked 6 times"),
        ({"status": 204, "body": ""}, UsageError, "has no table yet"),
    ],
)
def test_errors_say_what_to_do(
    far_side: Callable[..., AzureOnThisMachine], fault: dict[str, Any], kind: type[AmllogError], said: str
) -> None:
    """Each answer that is no answer is an error of ours, with the way out in it."""
    azure = far_side()
    azure.faults.put(Fault(service="query", **fault))
    with pytest.raises(kind) as caught:
        paged(azure).logs()
    assert said in str(caught.value)


def test_nobody_there(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """An address where nothing answers."""
    azure = far_side()
    endpoint = azure.query_endpoint
    azure.stop()
    with pytest.raises(ServiceError, match=r"is not reached .*AMLLOG_QUERY_ENDPOINT"):
        connect(workspace_id=azure.workspace_id, endpoint=endpoint).logs()


# Tables and dialects.


@runs_kql
def test_tables_that_are_not_there_yet(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """They have no rows; a scope without any of them is an error."""
    azure = far_side(log("hello"))
    workspace = asked(azure, "workspace_id")
    azure.faults.put(Fault(service="query", status=400, body=unknown_table("AppExceptions"), times=1))
    found = workspace.logs(last="900d")
    assert [row["message"] for row in found] == ["hello"]
    assert found.notes == ("there is no AppExceptions yet",)
    for name in ("AppTraces", "AppExceptions"):
        azure.faults.put(Fault(service="query", status=400, body=unknown_table(name), times=1))
    with pytest.raises(UsageError, match="has no table AppExceptions: tables appear some minutes after"):
        workspace.logs()


@runs_kql
def test_the_dialect_is_found_out(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """Where the service takes the other names: one question more, once."""
    azure = far_side(log("hello"))
    found = parse_scope("resource_id", azure.resource_id, endpoint=azure.query_endpoint)
    questions = Questions(ServiceStore(QueryClient(found._replace(dialects=("workspace", "classic")))))
    assert [row["message"] for _ in range(2) for row in questions.logs(last="900d")] == ["hello"] * 2
    assert queries(azure) == 3
    with pytest.raises(UsageError, match=r"has no table App(Traces|Exceptions)"):
        asked(azure, dialect="workspace").logs()


@runs_kql
def test_free_kql(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """Sent as it is; what is wrong with it, or which name the table has here, is said."""
    azure = far_side(log("hello", 3), step("train"))
    resource, workspace = asked(azure).store, asked(azure, "workspace_id").store
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
    for store, text, said in (
        (workspace, "traces | take 1", "has no table traces: it may be AppTraces there"),
        (resource, "AppTraces | take 1", "has no table AppTraces: it may be traces there"),
        (resource, "nothing | take 1", "cannot answer this KQL: Failed to resolve table .* 'nothing'"),
        (resource, "traces | where colour == 1", "scalar expression named 'colour'"),
        (resource, "traces | where (", "could not be parsed at"),
        (resource, "", "The query is empty"),
    ):
        with pytest.raises(UsageError, match=said):
            store.query(text)
    with pytest.raises(ServiceError, match="answered 501: Not on this machine"):
        resource.query("traces | extend x = todecimal(1)")


# Whom to ask.


def test_ids_come_from_arguments_or_the_environment(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """An argument wins; a path is a path; two ids are one too many."""
    azure = far_side()
    endpoint = {"AMLLOG_QUERY_ENDPOINT": azure.query_endpoint}
    variables = {"AMLLOG_RESOURCE_ID": azure.resource_id, **endpoint}
    azure.faults.put(Fault(service="query", body=json.dumps({"tables": [{"columns": [], "rows": []}]})))
    for questions in (
        connect(environ=variables),
        connect(environ={"AMLLOG_WORKSPACE_ID": azure.workspace_id, **endpoint}),
        connect(environ={"AMLLOG_APP_ID": azure.app_id, **endpoint}),
        connect(app_id=azure.app_id, environ=variables),
    ):
        assert len(questions.logs()) == 0
    paths = [one.path.rpartition("/query")[0] for one in azure.requests_log]
    component = azure.resource_id.join(("/v1", ""))
    workspace, app = f"/v1/workspaces/{azure.workspace_id}", f"/v1/apps/{azure.app_id}"
    assert paths == [component, workspace, app, app]
    with pytest.raises(
        UsageError, match=r"resource_id \(AMLLOG_RESOURCE_ID\), app_id \(AMLLOG_APP_ID\): give one"
    ):
        connect(environ={**variables, "AMLLOG_APP_ID": azure.app_id})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"workspace_id": "mine"}, "workspace_id='mine': an id such as"),
        ({"app_id": "ikey"}, "app_id='ikey'"),
        ({"resource_id": "/subscriptions/s"}, "microsoft.insights/components/… "),
        ({"resource_id": COMPONENT + "/query?x={y}"}, "Resource ID"),
        ({"resource_id": COMPONENT, "endpoint": "http://example.com"}, "http://127.0.0.1:… on this machine"),
        ({"resource_id": COMPONENT, "endpoint": "https://me@host"}, "AMLLOG_QUERY_ENDPOINT"),
        ({"resource_id": COMPONENT, "endpoint": "https://x:port"}, "AMLLOG_QUERY_ENDPOINT"),
        ({"resource_id": COMPONENT, "dialect": "kql"}, "dialect='kql': one of classic, workspace"),
        ({"resource_id": COMPONENT, "server_timeout_seconds": 601}, "server_timeout_seconds=601: 1 to 600"),
        ({"endpoint": "https://api.loganalytics.us"}, "give one of resource_id, workspace_id, app_id"),
        ({"workspaceid": "x"}, "workspaceid: connect() takes resource_id"),
    ],
)
def test_arguments_that_name_nothing(arguments: dict[str, Any], said: str) -> None:
    """The error names the argument, its value and where the right one is; nothing is sent."""
    with pytest.raises(UsageError) as caught:
        connect(environ={}, **arguments)
    assert said in str(caught.value)


def test_not_both(tmp_path: Path) -> None:
    """Journals or the service."""
    with pytest.raises(UsageError, match="journals or the service, not both"):
        connect(tmp_path, resource_id=COMPONENT)


@pytest.mark.parametrize(
    ("endpoint", "address", "audience"),
    [
        ("", "https://api.loganalytics.io", "https://api.loganalytics.io"),
        ("api.loganalytics.us/v1/", "https://api.loganalytics.us", "https://api.loganalytics.us"),
        (
            "https://api.loganalytics.azure.com",
            "https://api.loganalytics.azure.com",
            "https://api.loganalytics.io",
        ),
    ],
)
def test_addresses(endpoint: str, address: str, audience: str) -> None:
    """The public cloud, a sovereign one, and the new name, for which tokens have the old one."""
    found = parse_scope("resource_id", COMPONENT, endpoint=endpoint)
    assert (found.endpoint, found.audience, found.path) == (address, audience, COMPONENT)
    assert (
        parse_scope("app_id", "01234567-89ab-cdef-0123-456789abcdef").endpoint
        == "https://api.applicationinsights.io"
    )


class Credential:
    """A credential that keeps the scopes that it was asked for."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.credentials import AccessToken

        self.scopes += scopes
        return AccessToken("secret", 4_000_000_000)


def test_the_credential_is_asked_at_the_first_question(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """Not before; and a service that wants a token gets it."""
    azure, credential = far_side(strict=True), Credential()
    questions = asked(azure, "workspace_id", credential=credential)
    assert credential.scopes == []
    azure.faults.put(Fault(service="query", status=403))
    with pytest.raises(UsageError, match="no permission"):
        questions.logs()
    assert credential.scopes == [f"{azure.query_endpoint}/.default"]
    renamed = parse_scope("app_id", azure.app_id, endpoint=azure.query_endpoint)._replace(
        audience="https://old.io"
    )
    with pytest.raises(UsageError, match="no permission"):
        ServiceStore(QueryClient(renamed, credential)).query("traces")
    assert credential.scopes[1:] == ["https://old.io/.default"]


def test_who_we_are_is_not_known(child: Any) -> None:
    """Without any credential of Azure's on this machine: what to do, in one error."""
    code = f"""
from azure.core.exceptions import ClientAuthenticationError
from amllog.errors import UsageError
from amllog.insights import connect
class Nobody:
    def get_token(self, *scopes, **options):
        raise ClientAuthenticationError("nobody\\nis here")
try:
    connect(resource_id={COMPONENT!r}, credential=Nobody()).logs()
except UsageError as error:
    print(error)
"""
    ran = child(code)
    assert ran.stdout.strip().endswith("az login, or give connect() a credential= (nobody)"), ran.stderr


@pytest.mark.parametrize(
    ("module", "package"),
    [("azure.monitor.query", "azure-monitor-query"), ("azure.identity", "azure-identity")],
)
def test_packages_that_are_missing(child: Any, module: str, package: str) -> None:
    """The install line, at the first question; connect() itself needs none of them."""
    code = f"""
import sys
from amllog.errors import MissingExtraError
from amllog.insights import connect
questions = connect(resource_id={COMPONENT!r})
assert not any(name.startswith("azure") for name in sys.modules), "imported before it is needed"
sys.modules[{module!r}] = None
try:
    questions.logs()
except MissingExtraError as error:
    print(error)
"""
    ran = child(code)
    assert ran.stdout.strip() == f"{package} is not installed: pip install 'amllog[insights]'", ran.stderr


def test_ids_in_a_question_are_told(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """A workspace that nobody knows: the error names it and the address."""
    azure = far_side()
    with pytest.raises(
        UsageError, match=r"workspace_id='0{8}.*ff': not found at http://127\.0\.0\.1.*check the id"
    ):
        connect(workspace_id="00000000-0000-0000-0000-0000000000ff", endpoint=azure.query_endpoint).logs()


def test_tables_speak_kql(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """The answer knows its question in both dialects, without the pages."""
    azure = far_side()
    azure.faults.put(Fault(service="query", body=json.dumps({"tables": [{"columns": [], "rows": []}]})))
    found: Table = paged(azure, 3).logs(RUN)
    assert found.kql.startswith("union traces, exceptions") and "AppTraces" in found.kql_workspace
    assert "take" not in found.kql + found.kql_workspace


def test_scopes_are_values() -> None:
    """A scope says which argument it came from."""
    assert str(parse_scope("resource_id", COMPONENT)) == f"resource_id='{COMPONENT}'"
    assert isinstance(parse_scope("resource_id", COMPONENT), Scope)


@runs_kql
def test_queries_of_microsofts_pages_have_their_rows(far_side: Callable[..., AzureOnThisMachine]) -> None:
    """What is copied from a page is answered over HTTP as over journals, by the names of a resource or a workspace."""
    sent = copy.deepcopy(SENT)
    for one in sent:
        one["time"] = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.1234567Z}"
        one["iKey"] = "00000000-0000-0000-0000-0000000010ca"
        if one["data"]["baseType"] == "RequestData":
            one["data"]["baseData"]["responseCode"] = "200"
    azure = far_side(*sent)
    for kql, rows in QUERIES.items():
        store = asked(azure, "workspace_id" if kql.startswith("App") else "resource_id").store
        assert [tuple(row.values()) for row in store.query(kql)] == rows, kql
