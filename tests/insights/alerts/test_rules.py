"""Alert rules and workbooks for errors."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.alerts import rules, templates
from amllog.insights.query.tables import TABLES

ID = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/c"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"


@pytest.mark.parametrize("of", ["logs", "exceptions", "steps"])
def test_a_rule_of_one_table(of: str) -> None:
    """A rule for one kind of error reads one table, because Azure does not run `union` every minute."""
    for resource_id in (ID, WORKSPACE):
        arm = json.loads(templates.arm(rules.alert(resource_id, of=of, every="1m", run_type="training")))
        (criterion,) = arm["resources"][0]["properties"]["criteria"]["allOf"]
        assert arm["parameters"]["evaluationFrequency"]["defaultValue"] == "PT1M"
        table = TABLES[rules.ERROR_TABLES[of][0]]
        assert criterion["query"].startswith(
            f"{(table.workspace if resource_id == WORKSPACE else table.classic)}\n| "
        )
        assert not re.search(r"\b(union|search|take)\b", criterion["query"])
    with pytest.raises(UsageError, match="of='spans': one of everything, logs"):
        rules.alert(ID, of="spans")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"last": "7d"}, "last: not allowed here"),
        ({"since": "2026-11-22", "until": "2026-11-23"}, "since, until: not allowed here"),
        ({"severity": 5}, r"severity=5: 0 \(critical\) to 4"),
        ({"threshold": -1}, "threshold=-1: a whole number, at least 0"),
        ({"window": "7m"}, "window='7m': one of 1, 5, 10"),
        ({"window": timedelta(minutes=5), "every": "15m"}, "every='15m': at most the window"),
        ({"every": "1m"}, "every='1m': at least 5m, or of= logs, exceptions or steps"),
        ({"name": "a/b"}, "name='a/b': 1 to 260 characters"),
        ({"colour": "red"}, "colour: no such argument"),
    ],
)
def test_invalid_arguments(arguments: dict[str, Any], message: str) -> None:
    """The error names the argument, its value and the allowed values."""
    with pytest.raises(UsageError, match=message):
        rules.alert(ID, **arguments)
