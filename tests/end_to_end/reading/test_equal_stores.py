"""DuckDB, Python and the KQL of both dialects return the same rows in the same order for unusual data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("duckdb")

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
    """Return an envelope without tags and with only these properties, as other SDKs write it."""
    data = {"baseType": kind, "baseData": {"ver": 2, **base, "properties": properties}}
    return {"time": f"2026-11-22T11:00:00.{number:06d}Z", "iKey": "", "data": data}


def foreign_envelopes() -> Iterator[Any]:
    """Yield envelopes with missing or unusual members of other SDKs."""
    thrown = {"typeName": "E", "message": "m"}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("MessageData", {"message": "no run"}), ("MessageData", {"message": ""}), ("MessageData", {}),
        *[("MessageData", {"message": "s", "severityLevel": severity}) for severity in ("Error", "3", 7, -1, 2.0, "x")],
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


def unusual_envelopes() -> list[Any]:
    """Values like numbers and JSON, keys like paths, invalid steps, and many records of one time."""
    lines = [*everything(), *folded(), *foreign_envelopes()]
    lines += [
        log(f"v{value}", fold=value, time=f"2026-11-22T12:00:{n:02d}.000001Z")
        for n, value in enumerate(VALUES)
    ]
    lines += [log(f"of {key}", 1, "2026-11-22T12:02:00.5Z", **{key: "v"}) for key in KEYS]
    lines += [log(f"n {value!r}", n=value, time=f"2026-11-22T12:03:0{second}Z") for second, value in
              enumerate((5, True, None, {"a": [1, None, "x"]}, 1.5))]  # fmt: skip
    point = {"metrics": [{"name": "m", "value": 0.1}]}
    lines += [envelope("MetricData", point, "2026-11-22T12:04:00Z", step=step_) for step_ in STEPS]
    lines += [envelope("EventData", {"name": "odd"}, "2026-11-22T12:05:00Z", value=number, run_metric_data="{}")
              for number in NUMBERS]  # fmt: skip
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


class Stores(NamedTuple):
    """The same records in all stores."""

    sql: Questions
    python: Questions
    engine: Engine
    records: str

    def kql(self, table: Table, *, workspace: bool) -> Table:
        """Return the answer to the KQL of a table."""
        text = table.kql_workspace if workspace else table.kql
        answer = self.engine.run_kql(text, self.records, dialects=(workspace,))
        assert answer.names == table.names
        return Table.of(table.columns, answer.rows)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Return the stores over the unusual records, which are read once."""
    path = write(
        tmp_path_factory.mktemp("unusual_envelopes") / "20261122T100000-node-1-abcdef.jsonl",
        *unusual_envelopes(),
    )
    engine = Engine()
    return Stores(
        connect(path),
        Questions(PythonStore([path])),
        engine,
        engine.cache_records(duckdb_views.records([path]), path),
    )


def comparable(table: Table) -> list[tuple[str, ...]]:
    """Return rows in which NaN equals itself."""
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


def equal_answer(
    stores: Stores, name: str, narrow: dict[str, Any], *, dialects: tuple[bool, ...] = ()
) -> Table:
    """Return the answer, after checking that all stores return it. `dialects`: those of the KQL to run."""
    answer: Table = getattr(stores.sql, name)(**narrow)
    assert comparable(getattr(stores.python, name)(**narrow)) == comparable(answer), (name, narrow)
    for workspace in dialects:
        other = stores.kql(answer, workspace=workspace)
        assert comparable(other) == comparable(answer), (name, narrow, workspace)
    return answer


@pytest.mark.parametrize("name", [name for name in NAMES if name != "metrics"])
def test_every_question(stores: Stores, name: str) -> None:
    """Each question is run with each argument, and the KQL of a part of them in both dialects."""
    equal_answer(stores, name, {}, dialects=(False, True))
    turn = NAMES.index(name)
    for number, narrow in enumerate(NARROWS, turn):
        equal_answer(stores, name, narrow, dialects=(bool(number % 8),) if number % 4 == 0 else ())


def test_metrics(stores: Stores) -> None:
    """Invalid steps and numbers outside JSON are equal, and the KQL finds the records to unfold."""
    answer = equal_answer(stores, "metrics", {})
    for workspace in (False, True):
        assert comparable(metric_rows.unfold(stores.kql(answer, workspace=workspace))) == comparable(answer)
    steps = [row["step"] for row in answer if row["name"] == "m"]
    assert steps == [7, None, 8, None, 16, None, None, 2**63 - 1, 3, -3, 7, None, None, None]
    for narrow in (
        *NARROWS,
        {"name": ["l", "r.x", "odd"]},
        {"pivot": "step"},
        {"pivot": "timestamp", "name": "m"},
    ):
        equal_answer(stores, "metrics", narrow)


@pytest.mark.parametrize("level", ["DEBUG", "info", "WARN", "ERROR", "FATAL", 0, 10, 20, 25, 30, 40, 50, 60])
def test_levels(stores: Stores, level: str | int) -> None:
    """Levels by name and number, for severities that are names, strings, fractions, too large or missing."""
    for name in ("errors", "exceptions", "count", "timeline", "runs", "steps"):
        equal_answer(stores, name, {"level": level})
    equal_answer(stores, "logs", {"level": level}, dialects=(True,) if level in ("info", "ERROR") else ())


@pytest.mark.parametrize("key", KEYS)
def test_keys(stores: Stores, key: str) -> None:
    """Keys that look like paths, numbers or columns find only their own record."""
    table = equal_answer(stores, "logs", {"where": {key: "v"}}, dialects=(KEYS.index(key) % 2 == 0,))
    assert [row["message"] for row in table] == [f"of {key}"]
    if key != "records":
        equal_answer(stores, "count", {"by": key})


def test_values(stores: Stores) -> None:
    """Values that look like numbers or JSON are strings."""
    for number, value in enumerate(VALUES):
        answer = equal_answer(stores, "logs", {"where": {"fold": value}, "since": "2026-11-22T12:00:00Z",
                                     "until": "2026-11-22T12:01:00Z"},
                      dialects=(number % 8 == 0,) if number % 4 == 0 else ())  # fmt: skip
        assert [row["message"] for row in answer] == [f"v{value}"]
    for value in (5, True, None, "", {"a": [1, None, "x"]}, 1.5, "true", "1.50"):
        equal_answer(stores, "logs", {"where": {"n": value}})
    equal_answer(
        stores, "logs", {"where": {"n": ["5", "true", '{"a":[1,null,"x"]}']}}, dialects=(False, True)
    )


@pytest.mark.parametrize(
    "text", ["ÜBER", "über", "é", "e\u0301", "ß", "%", "_", "\\n", "'", "KEY", "😀", "FILE X", "inner"]
)
def test_contains(stores: Stores, text: str) -> None:
    """The search ignores case, also beyond ASCII, and has no wildcards."""
    answer = equal_answer(stores, "logs", {"contains": text}, dialects=(not text.isascii(),))
    assert ("tolower" in answer.kql) == (not text.isascii())
    if text.lower() == "über":
        assert [row["message"] for row in answer] == ["vÜBER", "vüber"]


@pytest.mark.parametrize("newest_first", [False, True])
def test_limits_within_one_time(stores: Stores, newest_first: bool) -> None:
    """The first rows of many with one time are equal, in the order of the numbers in their ids."""
    narrow = {"step_id": ["tie", "tie0", "tie1"], "newest_first": newest_first}
    whole = [row["message"] for row in equal_answer(stores, "logs", narrow, dialects=(False,))]
    assert whole[:: -1 if newest_first else 1] == [*(f"tie {n}" for n in range(2)), "tie 0", "tie 1",
                                                  *(f"tie {n}" for n in range(2, 6))]  # fmt: skip
    for limit in (1, 3, 7):
        cut = equal_answer(stores, "logs", {**narrow, "limit": limit}, dialects=(limit == 3,))
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
def test_counted_by(stores: Stores, by: str | list[str]) -> None:
    """Groups by columns of any type. A name of an internal condition is a dimension here."""
    equal_answer(stores, "count", {"by": by}, dialects=(by != "message",))


@pytest.mark.parametrize("by", ["dimensions", "stack", "records"])
def test_not_counted_by(stores: Stores, by: str) -> None:
    """A column that KQL cannot group by is rejected before the query is run."""
    with pytest.raises(UsageError, match=f"by='{by}': a dimension, or a column"):
        stores.sql.count(by=by)
