"""The limit of one item: long strings, many dimensions and deep stacks."""

from __future__ import annotations

import json

from hypothesis import given, strategies as st

from amllog.record import envelope

KEY = "00000000-0000-0000-0000-0000000010ca"

STRINGS = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=300)


@given(
    st.dictionaries(STRINGS, STRINGS.map(lambda string: string * 30), max_size=40),
    STRINGS.map(lambda string: string * 100),
)
def test_an_envelope_fits_the_item_limit(properties: dict[str, str], message: str) -> None:
    """No line is over the limit, all strings are within theirs, and record_id and step_id stay."""
    properties = envelope.limit_properties({**properties, "record_id": "r", "step_id": "s"})
    data = {"message": message[: envelope.MAX_MESSAGE], "properties": dict(properties)}
    line = envelope.encode_record(1.5, KEY, {}, "MessageData", data)
    assert len(line) <= envelope.MAX_ITEM_BYTES
    stored = json.loads(line)["data"]["baseData"]
    assert len(stored["message"]) <= envelope.MAX_MESSAGE
    assert all(len(key) <= 150 and len(value) <= 8192 for key, value in stored["properties"].items())
    assert (stored["properties"]["record_id"], stored["properties"]["step_id"]) == ("r", "s")


def test_dimensions_for_run_history_are_not_omitted() -> None:
    """Of too many dimensions, those that address a record to run history stay, and the others are counted."""
    marks = {"run_metric": "scalar", "run_id": "r", "step": "3"}
    many = {f"{number}": "v" * 150 for number in range(900)}
    line = envelope.encode_record(
        1.5, KEY, {}, "MetricData", {"metrics": [], "properties": {**many, **marks}}
    )
    stored = json.loads(line)["data"]["baseData"]["properties"]
    assert {key: stored.get(key) for key in marks} == marks
    assert int(stored["dimensions_left_out"]) + len(stored) - 4 == 900
