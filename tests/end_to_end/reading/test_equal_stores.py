"""Hard data, asked for in hard ways: DuckDB's SQL, Python alone and the question's KQL in both dialects agree, row for
row and in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("duckdb_kql")

from amllog.errors import UsageError
from amllog.insights import connect, metric_rows
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions
from amllog.insights.stores.local import duckdb_views
from amllog.insights.stores.local.duckdb_engine import Engine
from amllog.insights.stores.local.python_store import PythonStore

from ...insights.conftest import RUN, envelope, failure, log, step, write  # isort: skip
from ...insights.test_questions import NAMES, everything  # isort: skip
from ...insights.test_metric_rows import folded  # isort: skip

EDGE = "2026-11-22T13:00:00.123456Z"
VALUES = (
    "1", "1.0", "01", "1e3", "true", "null", "[1,2]", '{"a":1}', '"q"', "", "  ", " x ", "NaN", "2026-11-22", "é",
    "e\u0301", "ÜBER", "über", "ß", "SS", "a\u2028b", "😀", "'", "%", "_", "\\", "\\n",
)  # fmt: skip
KEYS = ("a.b", "a b", "a/b", "a~b", "$x", "x[0]", "é", "é\u0301", " ", " lead", "A", "a", "0", "-1", "_", "level",
        "where", "#", "a\nb", "timestamp", "itemType", "records")  # fmt: skip
STEPS = ("7", "7.5", " 8 ", "1e3", "0x10", "1_000", "99999999999999999999", "9223372036854775807", "+3", "-3", "007",
         "٣", "", "x")  # fmt: skip
NUMBERS = ("NaN", "Infinity", "-Infinity", "inf", "5", "0.1", "1e308", "x", "")


def bare(kind: str, base: dict[str, Any], number: int, **properties: Any) -> dict[str, Any]:
    """An envelope as other SDKs write them: no tags, only these properties."""
    data = {"baseType": kind, "baseData": {"ver": 2, **base, "properties": properties}}
    return {"time": f"2026-11-22T11:00:00.{number:06d}Z", "iKey": "", "data": data}


def foreign() -> Iterator[Any]:
    """What other SDKs may leave out, or write otherwise."""
    thrown = {"typeName": "E", "message": "m"}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("MessageData", {"message": "no run"}), ("MessageData", {"message": ""}), ("MessageData", {}),
        *[("MessageData", {"message": "s", "severityLevel": one}) for one in ("Error", "3", 7, -1, 2.0, "x")],
        ("ExceptionData", {"exceptions": [thrown]}), ("ExceptionData", {"exceptions": []}),
        ("ExceptionData", {"exceptions": [{**thrown, "stack": "File x"}], "severityLevel": 0}),
        ("ExceptionData", {"exceptions": [{"message": "only"}, {"typeName": "I", "message": "INNER"}]}),
        ("RequestData", {"id": "r", "duration": "1.02:03:04.5", "responseCode": "200", "success": "true"}),
        ("RequestData", {"id": "r", "duration": "00:00:00", "responseCode": 500, "success": False}),
        ("RequestData", {"id": "r", "duration": "nonsense", "responseCode": "0", "success": "False"}),
        ("RemoteDependencyData", {"name": "d", "duration": "00:00:01.1234567", "success": "FALSE"}),
        ("MetricData", {"metrics": [{"name": "M", "value": 5, "count": 3}, {"name": "n", "value": 6}]}),
        ("MetricData", {"metrics": []}), ("EventData", {}),
    ]  # fmt: skip
    for number, (kind, base) in enumerate(kinds):
        yield bare(
            kind, base, number, **({} if number % 2 else {"parent_run_id": "p", "step_id": f"p{number % 3}"})
        )


def hard() -> list[Any]:
    """Values like numbers and JSON, keys like paths, steps that are no numbers, many records of one instant."""
    lines = [*everything(), *folded(), *foreign()]
    lines += [
        log(f"v{one}", fold=one, time=f"2026-11-22T12:00:{n:02d}.000001Z") for n, one in enumerate(VALUES)
    ]
    lines += [log(f"of {key}", 1, "2026-11-22T12:02:00.5Z", **{key: "v"}) for key in KEYS]
    lines += [log(f"n {one!r}", n=one, time=f"2026-11-22T12:03:0{at}Z") for at, one in
              enumerate((5, True, None, {"a": [1, None, "x"]}, 1.5))]  # fmt: skip
    point = {"metrics": [{"name": "m", "value": 0.1}]}
    lines += [envelope("MetricData", point, "2026-11-22T12:04:00Z", step=one) for one in STEPS]
    lines += [envelope("EventData", {"name": "odd"}, "2026-11-22T12:05:00Z", value=one, run_metric_data="{}")
              for one in NUMBERS]  # fmt: skip
    lines += [
        log(f"tie {n}", 3 if n % 2 else 1, EDGE, record_id=f"bb-{14 + n:x}", step_id="tie") for n in range(6)
    ]
    lines += [failure(f"tie {n}", EDGE, record_id=f"cc-{n:x}", step_id=f"tie{n}") for n in range(3)]
    lines += [
        log("7 digits", 1, f"{EDGE[:-1]}7Z"),
        log("offset", 1, "2026-11-22T15:30:00.5+02:00"),
        step("late"),
    ]
    return lines


class Ways(NamedTuple):
    """The same records, asked for in every way."""

    sql: Questions
    python: Questions
    engine: Engine
    records: str

    def kql(self, asked: Table, *, workspace: bool) -> Table:
        """The answer to a question's KQL."""
        text = asked.kql_workspace if workspace else asked.kql
        found = self.engine.run_kql(text, self.records, dialects=(workspace,))
        assert found.names == asked.names
        return Table.of(asked.columns, found.rows)


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Ways:
    """The hard records, read once."""
    path = write(tmp_path_factory.mktemp("hard") / "20261122T100000-node-1-abcdef.jsonl", *hard())
    engine = Engine()
    return Ways(
        connect(path),
        Questions(PythonStore([path])),
        engine,
        engine.cache_records(duckdb_views.records([path]), path),
    )


def listed(table: Table) -> list[tuple[str, ...]]:
    """Rows in which NaN equals itself."""
    return [tuple(map(repr, row.values())) for row in table]


NARROWS: tuple[dict[str, Any], ...] = (
    {"last": timedelta(days=20_000, seconds=1)},
    {"last": timedelta(days=20_000, microseconds=7)},
    {"since": EDGE},
    {"until": EDGE},
    {"since": "2026-11-22T22:00:00.123457+09:00"},
    {"since": "0999-01-01", "until": "9999-12-31"},
    {"parent_run_id": [RUN, "p"]},
    {"step_id": ["s1", ""]},
    {"step_name": "train"},
    {"step_name": "TRAIN"},
    {"experiment_name": ""},
    {"run_type": "training", "contains": "HELLO"},
    {"where": {"fold": ["1", ""]}, "until": "2026-11-22T12:01:00Z"},
    {"contains": "e"},
)


def agree(ways: Ways, name: str, narrow: dict[str, Any], *, dialects: tuple[bool, ...] = ()) -> Table:
    """The answer, which all ways give: SQL, Python, and KQL in these dialects (False: a resource's names)."""
    found: Table = getattr(ways.sql, name)(**narrow)
    assert listed(getattr(ways.python, name)(**narrow)) == listed(found), (name, narrow)
    for workspace in dialects:
        made = ways.kql(found, workspace=workspace)
        assert listed(made) == listed(found), (name, narrow, workspace)
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if name != "metrics"])
def test_every_question(ways: Ways, name: str) -> None:
    """As it is and with each argument; KQL by turns, so that each argument is in some question's, in both dialects."""
    agree(ways, name, {}, dialects=(False, True))
    turn = NAMES.index(name)
    for number, narrow in enumerate(NARROWS, turn):
        agree(ways, name, narrow, dialects=(bool(number % 8),) if number % 4 == 0 else ())


def test_metrics(ways: Ways) -> None:
    """Steps that are no numbers, numbers that JSON has none for; their KQL finds the records that are unfolded."""
    found = agree(ways, "metrics", {})
    for workspace in (False, True):
        assert listed(metric_rows.unfold(ways.kql(found, workspace=workspace))) == listed(found)
    steps = [row["step"] for row in found if row["name"] == "m"]
    assert steps == [7, None, 8, None, 16, None, None, 2**63 - 1, 3, -3, 7, None, None, None]
    for narrow in (
        *NARROWS,
        {"name": ["l", "r.x", "odd"]},
        {"pivot": "step"},
        {"pivot": "timestamp", "name": "m"},
    ):
        agree(ways, "metrics", narrow)


@pytest.mark.parametrize("level", ["DEBUG", "info", "WARN", "ERROR", "FATAL", 0, 10, 20, 25, 30, 40, 50, 60])
def test_levels(ways: Ways, level: str | int) -> None:
    """By name and by number; severities that are names, texts, fractions, too great or none."""
    for name in ("errors", "exceptions", "count", "timeline", "runs", "steps"):
        agree(ways, name, {"level": level})
    agree(ways, "logs", {"level": level}, dialects=(True,) if level in ("info", "ERROR") else ())


@pytest.mark.parametrize("key", KEYS)
def test_keys(ways: Ways, key: str) -> None:
    """Keys that look like paths, numbers, columns: each finds its record, in both forms of a letter only its own."""
    asked = agree(ways, "logs", {"where": {key: "v"}}, dialects=(KEYS.index(key) % 2 == 0,))
    assert [row["message"] for row in asked] == [f"of {key}"]
    if key != "records":
        agree(ways, "count", {"by": key})


def test_values(ways: Ways) -> None:
    """Values that look like numbers or JSON are the texts that they are."""
    for number, value in enumerate(VALUES):
        found = agree(ways, "logs", {"where": {"fold": value}, "since": "2026-11-22T12:00:00Z",
                                     "until": "2026-11-22T12:01:00Z"},
                      dialects=(number % 8 == 0,) if number % 4 == 0 else ())  # fmt: skip
        assert [row["message"] for row in found] == [f"v{value}"]
    for value in (5, True, None, "", {"a": [1, None, "x"]}, 1.5, "true", "1.50"):
        agree(ways, "logs", {"where": {"n": value}})
    agree(ways, "logs", {"where": {"n": ["5", "true", '{"a":[1,null,"x"]}']}}, dialects=(False, True))


@pytest.mark.parametrize(
    "text", ["ÜBER", "über", "é", "e\u0301", "ß", "%", "_", "\\n", "'", "KEY", "😀", "FILE X", "inner"]
)
def test_contains(ways: Ways, text: str) -> None:
    """In capitals or not, other letters than those of ASCII too; nothing in it is a wildcard."""
    found = agree(ways, "logs", {"contains": text}, dialects=(not text.isascii(),))
    assert ("tolower" in found.kql) == (not text.isascii())
    if text.lower() == "über":
        assert [row["message"] for row in found] == ["vÜBER", "vüber"]


@pytest.mark.parametrize("newest_first", [False, True])
def test_limits_within_an_instant(ways: Ways, newest_first: bool) -> None:
    """The first rows are the same where many share one time: as they were written, by the numbers in their ids."""
    narrow = {"step_id": ["tie", "tie0", "tie1"], "newest_first": newest_first}
    whole = [row["message"] for row in agree(ways, "logs", narrow, dialects=(False,))]
    assert whole[:: -1 if newest_first else 1] == [*(f"tie {n}" for n in range(2)), "tie 0", "tie 1",
                                                  *(f"tie {n}" for n in range(2, 6))]  # fmt: skip
    for limit in (1, 3, 7):
        cut = agree(ways, "logs", {**narrow, "limit": limit}, dialects=(limit == 3,))
        assert [row["message"] for row in cut] == whole[:limit]


@pytest.mark.parametrize(
    "by",
    [
        "level",
        "message",
        "itemType",
        ["step_id", "level"],
        "step",
        "value",
        "timestamp",
        "is_error",
        "run_url",
    ],
)
def test_counted_by(ways: Ways, by: str | list[str]) -> None:
    """Columns of any type; a test of ours is no column: a dimension may be called so."""
    agree(ways, "count", {"by": by}, dialects=(by != "message",))


@pytest.mark.parametrize("by", ["dimensions", "stack", "records"])
def test_not_counted_by(ways: Ways, by: str) -> None:
    """What KQL cannot group by is refused before anybody is asked."""
    with pytest.raises(UsageError, match=f"by='{by}': a dimension, or a column"):
        ways.sql.count(by=by)
