"""The arguments that all query commands share."""

from __future__ import annotations

import pytest

from amllog.cli.parser import parser
from amllog.cli.query_arguments import passed_filters
from amllog.errors import UsageError


def test_filters_become_arguments() -> None:
    """Only the filters that were passed become arguments, and `--where` becomes a dictionary."""
    options = parser().parse_args(["logs", "--step-name", "a", "--step-name", "b", "--level", "warning"])
    assert passed_filters(options) == {"step_name": ["a", "b"], "level": "WARNING"}
    options = parser().parse_args(["logs", "--where", "epoch=3", "--where", "note=a=b"])
    assert passed_filters(options) == {"where": {"epoch": "3", "note": "a=b"}}


@pytest.mark.parametrize("condition", ["epoch", "=3"])
def test_conditions_need_a_key_and_a_value(condition: str) -> None:
    """A condition without a key or an equals sign is wrong usage."""
    options = parser().parse_args(["logs", "--where", condition])
    with pytest.raises(UsageError, match="KEY=VALUE"):
        passed_filters(options)
