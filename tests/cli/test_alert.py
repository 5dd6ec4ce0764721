"""The templates of `amllog alert` and `amllog workbook`, compared with the members that Azure requires."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ..insights.alerts.bicep import Bicep  # isort: skip

ID = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/c"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
GROUP = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/actionGroups/me"
# From learn.microsoft.com, azure/templates: the type of each member, or its allowed values.
RULE = {
    "displayName": str, "description": str, "enabled": bool, "severity": int, "scopes": list, "windowSize": str,
    "evaluationFrequency": str, "targetResourceTypes": list, "criteria": dict, "autoMitigate": bool, "actions": dict,
    "skipQueryValidation": bool,
}  # fmt: skip
CRITERION = {
    "query": str, "timeAggregation": {"Average", "Count", "Maximum", "Minimum", "Total"}, "dimensions": list,
    "operator": {"Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"}, "threshold": int,
    "failingPeriods": dict,
}  # fmt: skip
WORKBOOK = {"displayName": str, "category": str, "version": str, "sourceId": str, "serializedData": str}


def assert_shape(value: dict[str, Any], shape: dict[str, Any]) -> None:
    """Assert that exactly these members exist, with their types."""
    assert value.keys() == shape.keys()
    for name, kind in shape.items():
        assert (value[name] in kind) if isinstance(kind, set) else (type(value[name]) is kind), name


def deployed(template: dict[str, Any]) -> dict[str, Any]:
    """Return the resource as Azure deploys it: with parameters and variables, and without ARM's escapes."""
    defaults = {name: parameter["defaultValue"] for name, parameter in template["parameters"].items()}

    def resolve(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if not isinstance(value, str) or not value.startswith("["):
            return value
        if value.startswith("[["):
            return value[1:]
        if value == "[string(variables('content'))]":
            return json.dumps(resolve(template["variables"]["content"]))
        match = re.fullmatch(r"\[parameters\('(\w+)'\)\]", value)
        return resolve(defaults[match[1]]) if match else value

    (resource,) = template["resources"]
    return resolve(resource)


def test_alert(cli: Any, tmp_path: Path) -> None:
    """The rule has all required members, and parameters for values that are set at deployment."""
    ran = cli("alert", "--resource-id", ID, "--output", "rule.json", "--severity", "1", "--window", "1h", "--every",
              "15m", "--threshold", "3", "--action-group", GROUP, "--run-type", "training", "--name", "it")  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    template = json.loads((tmp_path / "rule.json").read_text())
    assert template.keys() == {"$schema", "contentVersion", "metadata", "parameters", "resources"}
    rule = deployed(template)
    assert (rule["type"], rule["apiVersion"]) == ("Microsoft.Insights/scheduledQueryRules", "2023-12-01")
    assert (rule["name"], rule["location"], rule["kind"]) == (
        "it",
        "[resourceGroup().location]",
        "LogAlert",
    )
    properties = rule["properties"]
    assert_shape(properties, RULE)
    (criterion,) = properties["criteria"]["allOf"]
    assert_shape(criterion, CRITERION)
    assert (properties["severity"], properties["windowSize"], properties["evaluationFrequency"]) == (
        1,
        "PT1H",
        "PT15M",
    )
    assert (properties["scopes"], properties["actions"], criterion["threshold"]) == (
        [ID],
        {"actionGroups": [GROUP]},
        3,
    )
    assert [dimension["name"] for dimension in criterion["dimensions"]] == ["run_type", "step_name"]
    assert '== "training"' in criterion["query"] and criterion["query"].startswith("union isfuzzy=true (")
    assert "ago(" not in criterion["query"]  # the window of the rule is the time range


def test_workbook(cli: Any) -> None:
    """The workbook is shared, its content is JSON, and its resource is a parameter."""
    ran = cli("workbook", env={"AMLLOG_RESOURCE_ID": WORKSPACE})
    assert (ran.returncode, ran.stderr) == (0, "")
    book = deployed(json.loads(ran.stdout))
    assert (book["type"], book["apiVersion"], book["kind"]) == (
        "Microsoft.Insights/workbooks",
        "2023-06-01",
        "shared",
    )
    assert_shape(book["properties"], WORKBOOK)
    content = json.loads(book["properties"]["serializedData"])
    assert content["version"] == "Notebook/1.0" and content["fallbackResourceIds"] == [WORKSPACE]
    time, *queries = content["items"]
    assert [parameter["name"] for parameter in time["content"]["parameters"]] == ["TimeRange"]
    assert len(queries) == 5
    for content in (query["content"] for query in queries):
        assert content["timeContextFromParameter"] == "TimeRange" and content["crossComponentResources"] == [
            WORKSPACE
        ]
        assert content["resourceType"] == "microsoft.operationalinsights/workspaces"
        assert content["query"].startswith("union isfuzzy=true (") and "App" in content["query"]


def test_the_suffix_of_the_file_selects_the_format(cli: Any, tmp_path: Path) -> None:
    """FILE.bicep is Bicep, --format overrides it, and the same command writes the same bytes."""
    for name in ("a.bicep", "b.bicep", "c.json"):
        assert cli("alert", "--resource-id", ID, "--output", name).returncode == 0
    assert (tmp_path / "a.bicep").read_bytes() == (tmp_path / "b.bicep").read_bytes()
    assert Bicep((tmp_path / "a.bicep").read_text()).type.endswith("@2023-12-01")
    assert json.loads((tmp_path / "c.json").read_text())["resources"]
    assert cli("workbook", "--resource-id", ID, "--format", "bicep").stdout.startswith(
        "// Errors by run_type"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "pass --resource-id, or set AMLLOG_RESOURCE_ID"),
        (("--resource-id", "x"), "resource_id='x'"),
        (("--resource-id", ID, "--window", "7m"), "window='7m': one of 1, 5, 10"),
        (("--resource-id", ID, "--every", "1h"), "every='1h': at most the window"),
        (("--resource-id", ID, "--every", "1m"), "every='1m': at least 5m, or of= logs, exceptions or steps"),
        (("--resource-id", ID, "--threshold", "-1"), "threshold=-1"),
        (("--resource-id", ID, "--severity", "7"), "invalid choice"),
        (("--resource-id", ID, "--name", "a/b"), "name='a/b'"),
        (("--resource-id", ID, "--output", "no/such/file.json"), "--output no/such/file.json: No such file"),
    ],
)
def test_wrong_usage(cli: Any, arguments: tuple[str, ...], message: str) -> None:
    """The exit code is 2, stdout is empty, and the message names the argument."""
    ran = cli("alert", *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert message in ran.stderr
