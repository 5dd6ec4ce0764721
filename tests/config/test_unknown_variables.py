"""Variables that look like those of amllog."""

from __future__ import annotations

import pytest

from amllog.config import variables
from amllog.config.settings_table import SETTINGS
from amllog.config.unknown_variables import KNOWN, find_unknown


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("AMLLOG_LEVLE", "AMLLOG_LEVEL"),
        ("AMLLOG_DIRECTORY", "AMLLOG_DIR"),
        ("AMLLOG_CONNECTION_STRING", "APPLICATIONINSIGHTS_CONNECTION_STRING"),
        ("AMLLOG_CONNECTION_STRNG", "APPLICATIONINSIGHTS_CONNECTION_STRING"),
        ("amllog_level", "AMLLOG_LEVEL"),
        ("Amllog_Strict", "AMLLOG_STRICT"),
        ("AMLOG_LEVEL", "AMLLOG_LEVEL"),
        ("AML_LOG_LEVEL", "AMLLOG_LEVEL"),
        ("AMLLOG_", ""),
        ("AMLLOG_ZZZ", ""),
        ("AMLLOG_RESOURCE", "AMLLOG_RESOURCE_ID"),
    ],
)
def test_misspelled(name: str, nearest: str) -> None:
    """A misspelled name is reported with the nearest one, and without its value."""
    (problem,) = find_unknown({name: "hunter22", "PATH": "/bin"})
    hint = f"did you mean {nearest}?" if nearest else "docs/settings.md lists all variables"
    assert str(problem) == f"{name} is not an amllog variable: {hint}"
    assert "hunter22" not in repr(problem)


@pytest.mark.parametrize(
    "name",
    [
        "AMLLOG_SERVICE_HOST", "AMLLOG_SERVICE_PORT", "AMLLOG_SERVICE_PORT_HTTP", "AMLLOG_PORT",
        "AMLLOG_PORT_8000_TCP", "AMLLOG_PORT_8000_TCP_ADDR", "AMLLOG_PORT_53_UDP_PROTO", "AMLLOG_API_SERVICE_HOST",
        "AMLLOG_API_PORT_80_TCP_PORT", "AML_APP_INSIGHTS_ENABLED", "AML_APP_INSIGHTS_ENDPOINT", "AML_CloudName",
        "AMLCOMPUTE", "AML_PARAMETER_level", "AMLT_LEVEL", "LEVEL", "XAMLLOG_LEVEL",
    ],
)  # fmt: skip
def test_of_others(name: str) -> None:
    """Variables of Kubernetes for a service called amllog, and those of Azure ML, are not reported."""
    assert find_unknown({name: "x"}) == []


def test_known_and_empty() -> None:
    """A variable of the tables and an empty variable are not reported."""
    assert find_unknown({**dict.fromkeys(KNOWN, "x"), "AMLLOG_LEVLE": " "}) == []
    assert {name for row in SETTINGS for name in row.variables} <= KNOWN
    assert {row.name for row in variables.VARIABLES} <= KNOWN
