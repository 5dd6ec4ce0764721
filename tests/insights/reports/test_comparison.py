"""Two runs side by side, and the patterns of messages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, strategies as st

from amllog.insights.insights import Insights
from amllog.insights.reports.comparison import Comparison
from amllog.insights.reports.message_patterns import KnownIds, message_pattern
from amllog.insights.stores.local.python_store import PythonStore

from ..conftest import envelope, failure, log, step  # isort: skip

WORDS = st.lists(
    st.sampled_from(["batch", "of", "epoch:", "loss", "done,", "(in)", "at/", "file_", "näch"]), min_size=1
)


@given(WORDS, st.sampled_from(["ints", "floats", "uuids", "hex", "quoted"]), st.data())
def test_messages_that_differ_in_values_alone_have_one_pattern(
    words: list[str], kind: str, data: Any
) -> None:
    """Numbers, ids, hexadecimal and quoted texts, wherever in the message."""
    drawn = {
        "ints": st.integers(0, 10**12).map(str),
        "floats": st.floats(0.001, 1e9).map(lambda number: f"{number:.3f}"),
        "uuids": st.uuids().map(str),
        "hex": st.binary(min_size=4, max_size=20).map(lambda one: f"0x{one.hex()}"),
        "quoted": st.text('abc 01"', max_size=5).map(lambda text: f"'{text}'"),
    }[kind]
    at = data.draw(st.integers(0, len(words)))
    one, other = (" ".join([*words[:at], data.draw(drawn), *words[at:]]) for _ in range(2))
    assert message_pattern(one) == message_pattern(other)
    assert message_pattern(" ".join([*words, "more"])) != message_pattern(one)


@given(st.text())
def test_no_number_is_left_in_a_pattern(message: str) -> None:
    """Of any text; and it is one line."""
    found = message_pattern(message)
    assert not re.search(r"\d", found)
    assert len(found.splitlines()) <= 1


def test_patterns() -> None:
    """Some of every day."""
    assert (
        message_pattern("batch 17 of 'a.csv'") == message_pattern("batch 18 of 'b.csv'") == "batch # of '…'"
    )
    assert message_pattern("took -3.5e-7 s at 10:11:12.5 for run 7f9c24e8") == "took # s at # for run #"
    assert message_pattern("can't read, won't read") == "can't read, won't read"
    assert message_pattern("decade\nand more") == "decade"
    assert (
        message_pattern("wrote /mnt/cr/j/0a1b2c/exe/wd/out.csv")
        == message_pattern("wrote /mnt/x/out.csv")
        == "wrote …/out.csv"
    )
    assert message_pattern(r"wrote C:\Temp\a\out.csv") == message_pattern("wrote ~/b/out.csv")
    assert message_pattern("in /tmp/tmp0k_x9ab1") == message_pattern("in /tmp/tmpabcdefgh") == "in …/tmp#"
    assert message_pattern("train/loss of https://host/a/b, 5/s") == "train/loss of https://host/a/b, #/s"
    assert message_pattern("run dd63b0e7_train") == message_pattern("run 4ff6058f_train") == "run #_train"


def test_ids_of_the_runs_are_folded() -> None:
    """Whatever they look like; but not where they are part of a word, nor where any word may be one."""
    ids = ["sharp_heart", "sharp_heart_x8kd", "r1"]
    assert message_pattern("run sharp_heart_x8kd of sharp_heart", ids) == "run # of #"
    assert message_pattern("sharp_hearts or1 r", ids) == "sharp_hearts or# r"


def metric(name: str, value: float, second: int = 0, **own: Any) -> Any:
    """A metric's value."""
    point = {"metrics": [{"name": name, "value": value, "count": 1}]}
    return envelope("MetricData", point, f"2026-11-22T10:00:{second:02d}Z", **own)


def compared(journal: Callable[..., Path]) -> Comparison:
    """A run of three steps, and one day later one that stopped in the second."""
    first: dict[str, Any] = {"parent_run_id": "r1"}
    second: dict[str, Any] = {"parent_run_id": "r2", "time": "2026-11-23T10:00:00Z"}
    path = journal(
        step("train", seconds=5, step_id="a1", **first), log("batch 17", step_id="a1", **first),
        log("only then", 2, step_id="a1", **first), metric("loss", 0.9, step_id="a1", **first),
        metric("loss", 0.5, 5, step_id="a1", **first), metric("acc", 0.7, step_id="a1", **first),
        step("score", step_name="score", step_id="a2", **first),
        step("train", seconds=8, step_id="b1", **second), log("batch 18", step_id="b1", **second),
        log("batch 19", step_id="b1", **second), failure("it broke in 3", step_id="b1", **second),
        failure("it broke in 4", step_id="b1", **second),
        metric("loss", 0.25, 5, step_id="b1", parent_run_id="r2"),
    )  # fmt: skip
    return Insights(PythonStore([path])).compare("last~1", "last")


def test_two_runs(journal: Callable[..., Path]) -> None:
    """Seconds, last values, messages and levels; what one of them has not is None."""
    found = compared(journal)
    assert (found.first, found.second) == ("r1", "r2")
    names = ("step_name", "first_state", "second_state", "first", "second", "difference")
    assert [tuple(row[name] for name in names) for row in found.steps] == [
        ("train", "done", "done", 5.0, 8.0, 3.0), ("score", "done", "", 5.0, None, None),
    ]  # fmt: skip
    assert [tuple(row.values()) for row in found.metrics] == [
        ("train", "acc", 0.7, None, None, "", ""), ("train", "loss", 0.5, 0.25, -0.25, "", ""),
    ]  # fmt: skip
    assert [tuple(row.values())[:5] for row in found.messages] == [
        ("new", "ERROR", "train", "it broke in #: ValueError: no", 2), ("gone", "WARNING", "train", "only then", 1),
    ]  # fmt: skip
    assert [tuple(row.values()) for row in found.levels] == [
        ("ERROR", 0, 2, 2), ("WARNING", 1, 0, -1), ("INFO", 1, 2, 1),
    ]  # fmt: skip


def test_exceptions_are_told_apart_by_their_own_words(journal: Callable[..., Path]) -> None:
    """The message of one that nobody caught is always the same: what it said is what is new."""

    def uncaught(words: str, run: str) -> Any:
        one = failure("Uncaught exception", parent_run_id=run, step_id=f"{run}-train")
        one["data"]["baseData"]["exceptions"][0]["message"] = f"Uncaught exception: {words}\nmore"
        return one

    path = journal(uncaught("out of memory", "r1"), uncaught("no such file /a/b.csv", "r2"))
    found = Insights(PythonStore([path])).compare("r1", "r2")
    assert [(row["change"], row["pattern"]) for row in found.messages] == [
        ("new", "Uncaught exception: ValueError: no such file …/b.csv"),
        ("gone", "Uncaught exception: ValueError: out of memory"),
    ]


def test_what_a_step_said_that_did_not_run_is_not_listed(journal: Callable[..., Path]) -> None:
    """In the text; its warnings are, and the table has all."""
    train: dict[str, Any] = {"step_id": "train"}
    score: dict[str, Any] = {"step_name": "score", "step_id": "score", "parent_run_id": "r1"}
    path = journal(
        log("gone", parent_run_id="r1", **train), log("scored", **score), log("odd", 2, **score),
        log("x", parent_run_id="r2", **train),
    )  # fmt: skip
    found = Insights(PythonStore([path])).compare("r1", "r2")
    assert [row["message"] for row in found.messages if row["change"] == "gone"] == ["odd", "scored", "gone"]
    text = found.text.partition("only in the first")[2]
    assert (
        text
        == ": 3\n  WARNING  score: odd\n  INFO     train: gone\n  1 in steps that are not in the second run: score"
    )


def folded(name: str, columns: str, rows: str, time: str = "2026-11-22T10:00:00Z", **own: Any) -> Any:
    """A list, a row or a table of `log.run`."""
    data = f'{{"columns": {columns}, "rows": {rows}}}'
    return envelope("EventData", {"name": name}, time, run_metric="row", run_metric_data=data, **own)


def test_metrics_of_several_numbers_and_of_none(journal: Callable[..., Path]) -> None:
    """Of a list and of each column of a row the last number, however often it was logged; of a text the text."""
    later = "2026-11-22T11:00:00Z"
    first: dict[str, Any] = {"parent_run_id": "r1", "step_id": "a"}
    second: dict[str, Any] = {"parent_run_id": "r2", "step_id": "b", "time": "2026-11-23T10:00:00Z"}
    path = journal(
        folded("folds", '{"folds": "double"}', "[[0.1], [0.3]]", **first),
        folded("eval", '{"f1": "double", "of": "string"}', '[[0.5, "x"]]', later, **first),
        folded("eval", '{"f1": "double", "of": "string"}', '[[0.4, "x"]]', **first),
        folded("best", '{"best": "string"}', '[["adam w"]]', **first),
        folded("folds", '{"folds": "double"}', "[[0.2], [0.4]]", **second),
        folded("best", '{"best": "string"}', '[["sgd"]]', **second),
    )  # fmt: skip
    insights = Insights(PythonStore([path]))
    values = {
        row["name"]: (row["records"], row["last_value"], row["last_text"])
        for row in insights.last_values("r1")
    }
    assert values == {"folds": (2, 0.3, ""), "eval.f1": (2, 0.5, ""), "best": (1, None, "adam w")}
    found = insights.compare("r1", "r2")
    assert [tuple(row.values())[1:] for row in found.metrics] == [
        ("best", None, None, None, "adam w", "sgd"), ("eval.f1", 0.5, None, None, "", ""),
        ("folds", 0.3, 0.4, 0.4 - 0.3, "", ""),
    ]  # fmt: skip
    assert re.search(r"best +adam w +sgd\n", found.text)
    assert 'best="adam w", eval.f1=0.5, folds=0.3' in insights.story("r1").text


def test_it_reads_well(journal: Callable[..., Path]) -> None:
    """As text, as HTML and as JSON."""
    found = compared(journal)
    text = repr(found)
    assert "train  done  done  5  8  +3 (+60%)" in re.sub(r" {3,}", "  ", text)
    assert "messages only in the second: 1\n  2 × ERROR    train: it broke in #: ValueError: no" in text
    assert "<h4>messages</h4><table>" in found._repr_html_()
    whole = json.loads(found.to_json())
    assert (whole["first"], whole["levels"][0]["second"]) == ("r1", 2)
    assert [len(whole[name]) for name in ("steps", "metrics", "messages")] == [2, 2, 2]


def test_what_is_left_out_of_the_text_is_told(journal: Callable[..., Path]) -> None:
    """Forty messages are listed, the others counted."""
    words = ["".join(letters) for letters in zip("abcdefghijklmnopqrstuvwxyz" * 2, "a" * 26 + "b" * 26)]
    path = journal(log("x", parent_run_id="r1"), *(log(word, parent_run_id="r2") for word in words))
    found = Insights(PythonStore([path])).compare("r1", "r2")
    assert len(found.messages) == 53
    assert "… and 12 more: .messages has all" in found.text
    assert "messages only in the first: 1" in found.text


def test_only_ids_whose_longest_word_is_in_a_message_are_looked_for() -> None:
    """Of a hundred thousand ids, a message is compared with the few that it may contain: runs have many steps."""
    ids = KnownIds([*(f"run_{number:06}" for number in range(100_000)), "ab-cdef", "x.y_zz", "..++..++"])
    assert ids.find_in("step run_000017 of ab-cdef, x.y_zz") == ["run_000017", "ab-cdef", "x.y_zz"]
    assert ids.find_in("..++..++") == ["..++..++"]
    assert sum(map(len, ids._by_word.values())) == 100_003
    assert max(map(len, ids._by_word.values())) == 1
    assert message_pattern("step run_000017 ended", ids) == message_pattern("step run_000018 ended", ids)
