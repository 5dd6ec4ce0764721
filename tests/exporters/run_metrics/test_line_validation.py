"""The validation of the data of journal lines."""

from __future__ import annotations

import pytest

from amllog.exporters.run_metrics import line_validation

FILE = "artifacts/0123456789ab-file"


@pytest.mark.parametrize(
    ("method", "data", "is_valid"),
    [
        ("set_tags", {"tags": {"a": "1", "b": None}}, True), ("set_tags", {"tags": {"a": 1}}, False),
        ("set_tags", {"tags": {}, "file": FILE}, False), ("remove_tags", {"tags": ["a"]}, True), ("complete", {}, True),
        ("upload_file", {"file": FILE, "artifact": "a", "name": "a"}, True),
        ("upload_file", {"file": "given.txt", "artifact": "a", "name": "a"}, False),
        ("upload_file", {"artifact": "a", "name": "a"}, False), ("set_tags", [], False),
    ],
)  # fmt: skip
def test_calls(method: str, data: object, is_valid: bool) -> None:
    """A call needs the arguments of its method, and only uploads have a file."""
    assert line_validation.is_call(method, data) is is_valid


@pytest.mark.parametrize(("value", "step"), [(None, None), (3, 3), ("-7", -7), (-(2**63), -(2**63))])
def test_valid_steps(value: object, step: int | None) -> None:
    """A step is a number of 64 bits or its digits."""
    assert line_validation.parse_step(value) == step


@pytest.mark.parametrize("value", [1.5, True, "x", "9" * 30, 2**63, [], {}])
def test_invalid_steps(value: object) -> None:
    """Any other value is not a step."""
    with pytest.raises(ValueError, match=r"step|invalid"):
        line_validation.parse_step(value)
