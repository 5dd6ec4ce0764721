"""Patterns of messages."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, strategies as st

from amllog.insights.reports.message_patterns import KnownIds, message_pattern

WORDS = st.lists(
    st.sampled_from(["batch", "of", "epoch:", "loss", "done,", "(in)", "at/", "file_", "näch"]), min_size=1
)


@given(WORDS, st.sampled_from(["ints", "floats", "uuids", "hex", "quoted"]), st.data())
def test_messages_that_differ_in_values_have_one_pattern(words: list[str], kind: str, data: Any) -> None:
    """Numbers, ids, hexadecimal and quoted strings are replaced at any place of a message."""
    values = {
        "ints": st.integers(0, 10**12).map(str),
        "floats": st.floats(0.001, 1e9).map(lambda number: f"{number:.3f}"),
        "uuids": st.uuids().map(str),
        "hex": st.binary(min_size=4, max_size=20).map(lambda value: f"0x{value.hex()}"),
        "quoted": st.text('abc 01"', max_size=5).map(lambda text: f"'{text}'"),
    }[kind]
    index = data.draw(st.integers(0, len(words)))
    first, second = (" ".join([*words[:index], data.draw(values), *words[index:]]) for _ in range(2))
    assert message_pattern(first) == message_pattern(second)
    assert message_pattern(" ".join([*words, "more"])) != message_pattern(first)


@given(st.text())
def test_no_number_is_left_in_a_pattern(message: str) -> None:
    """A pattern is one line without digits."""
    pattern = message_pattern(message)
    assert not re.search(r"\d", pattern)
    assert len(pattern.splitlines()) <= 1


def test_patterns() -> None:
    """Typical messages have these patterns."""
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


def test_known_ids_are_replaced() -> None:
    """Known ids are replaced, but not as a part of a word and not if they are short."""
    ids = ["sharp_heart", "sharp_heart_x8kd", "r1"]
    assert message_pattern("run sharp_heart_x8kd of sharp_heart", ids) == "run # of #"
    assert message_pattern("sharp_hearts or1 r", ids) == "sharp_hearts or# r"


def test_many_known_ids() -> None:
    """A message is compared only with the ids whose longest word it contains."""
    ids = KnownIds([*(f"run_{number:06}" for number in range(100_000)), "ab-cdef", "x.y_zz", "..++..++"])
    assert ids.find_in("step run_000017 of ab-cdef, x.y_zz") == ["run_000017", "ab-cdef", "x.y_zz"]
    assert ids.find_in("..++..++") == ["..++..++"]
    assert sum(map(len, ids._by_word.values())) == 100_003
    assert max(map(len, ids._by_word.values())) == 1
    assert message_pattern("step run_000017 ended", ids) == message_pattern("step run_000018 ended", ids)
