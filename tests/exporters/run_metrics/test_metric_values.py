"""Metric values within the limits of run history."""

from __future__ import annotations

from typing import Any

from amllog.local import AzureOnThisMachine


def test_long_name_arrives(child: Any, job: dict[str, str], azure: AzureOnThisMachine) -> None:
    """A name too long for run history is shortened there, and complete in Application Insights."""
    ran = child("import amllog; amllog.setup().metric('loss ' + 'x' * 60, 0.5)", env=job)
    assert "metric name longer than 50 characters: run history will show 'loss xxx" in ran.stderr
    ((name, values),) = azure.values(job["AZUREML_RUN_ID"]).items()
    assert (name[:41], values) == ("loss " + "x" * 36, [0.5])
    sent = [
        record["data"]["baseData"]["metrics"][0]["name"]
        for record in azure.envelopes
        if "Metric" in record["name"]
    ]
    assert sent == ["loss " + "x" * 60]
