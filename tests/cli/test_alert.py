"""The templates of `amllog alert` and `amllog workbook`, compared with the members that Azure requires."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from amllog.errors import UsageError
from amllog.insights.alerts import rules, templates
from amllog.insights.query.tables import TABLES

ID = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/c"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
GROUP = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/actionGroups/me"
# From learn.microsoft.com, azure/templates: the type of each member, or its allowed values.
RULE = {
    "displayName": str, "description": str, "enabled": bool, "severity": int, "scopes": list, "windowSize": str,
    "evaluationFrequency": str, "targetResourceTypes": list, "criteria": dict, "autoMitigate": bool, "actions": dict,
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


_TEXT = r"'(?P<{}>(?:[^'\\\n$]|\$(?!{{)|\\['\\nrt$])*)'"  # an unescaped ${ begins an expression
_TOKEN = re.compile(
    rf"(?P<nothing>\s+|//[^\n]*|@description\({_TEXT.format('about')}\)|@allowed\(\[[^\]]*\]\))"
    rf"|'''\n(?P<block>.*?)'''|{_TEXT.format('text')}|(?P<number>-?\d+)"
    r"|(?P<word>[A-Za-z_]\w*(?:\([^()'\n]*(?:\(\)[^()'\n]*)?\))?(?:\.\w+)*)|(?P<sign>[{}\[\]:=])",
    re.DOTALL,
)
_ENDS, _ESCAPES = {"{": "}", "[": "]"}, {"n": "\n", "r": "\r", "t": "\t"}


class Bicep:
    """The parameters, variables and resource of a Bicep file. Raises SyntaxError for other syntax than ours."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if not match:
                raise SyntaxError(text[position : position + 40])
            position, kind = match.end(), str(match.lastgroup)
            if match["nothing"] is None:
                self._tokens.append((kind, match[kind]))
        self.parameters: dict[str, Any] = {}
        self.variables: dict[str, Any] = {}
        while self._tokens:
            self._declaration(self._take(), self._take())

    def _declaration(self, keyword: str, name: str) -> None:
        if keyword == "param":
            declared = self._take()
            has_default = self._tokens[:1] == [("sign", "=")] and bool(self._take("="))
            self.parameters[name] = (declared, self._value() if has_default else None)
        elif keyword == "var" and self._take("="):
            self.variables[name] = self._value()
        elif keyword == "resource":
            self.type = self._take()
            self._take("=")
            self.resource = self._value()
        else:
            raise SyntaxError(keyword)

    def _take(self, sign: str = "") -> str:
        kind, text = self._tokens.pop(0)
        if sign and (kind, text) != ("sign", sign):
            raise SyntaxError(f"expected {sign}, not {text}")
        return text

    def _value(self) -> Any:
        kind, text = self._tokens.pop(0)
        if kind == "text":
            return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text)
        if kind == "number":
            return int(text)
        if kind == "word":
            return {"true": True, "false": False}.get(text, f"={text}")
        if kind == "block":
            return text
        items: Any = {} if text == "{" else []
        while self._tokens[0] != ("sign", _ENDS[text]):
            if isinstance(items, list):
                items.append(self._value())
            else:
                kind, key = self._tokens.pop(0)
                self._take(":")
                items[re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), key)] = self._value()
        self._take(_ENDS[text])
        return items


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
    assert '== "training"' in criterion["query"] and criterion["query"].startswith("union traces, ")
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
        assert re.match("(union )?App", content["query"])


HARD = ["it's", "a\\b", "${x}", "'''", "[parameters('x')]", "line\nline", 'q"uote', "é", "//"]


@pytest.mark.parametrize("value", HARD)
@pytest.mark.parametrize("make", [rules.alert, rules.workbook])
def test_bicep_and_arm_are_equal(make: Any, value: str) -> None:
    """The Bicep file has the parameters, variables and resource of the ARM template, for any string."""
    template = make(ID, run_type=[value, "x"])._replace(
        variables={"content": {"text": value, value: [value, 1, True]}}
    )
    bicep = Bicep(templates.bicep(template))
    arm = json.loads(templates.arm(template))

    def to_bicep(item: Any) -> Any:
        """Convert ARM's expressions to Bicep's, with the mark of the parser."""
        if isinstance(item, dict):
            return {key: to_bicep(value) for key, value in item.items()}
        if isinstance(item, list):
            return [to_bicep(value) for value in item]
        if isinstance(item, str) and item.startswith("[["):
            return item[1:]
        if isinstance(item, str) and item.startswith("["):
            return "=" + re.sub(r"(?:parameters|variables)\('(\w+)'\)", r"\1", item[1:-1])
        return item

    (resource,) = arm["resources"]
    assert bicep.type == f"{resource.pop('type')}@{resource.pop('apiVersion')}"
    assert bicep.resource == to_bicep(resource)
    assert bicep.variables == to_bicep(arm["variables"])
    assert bicep.parameters == {
        name: (parameter["type"], to_bicep(parameter.get("defaultValue")))
        for name, parameter in arm["parameters"].items()
    }


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


@pytest.mark.parametrize("of", ["logs", "exceptions", "steps"])
def test_a_rule_of_one_table(of: str) -> None:
    """A rule for one kind of error reads one table, because Azure does not run `union` every minute."""
    for resource_id in (ID, WORKSPACE):
        made = json.loads(templates.arm(rules.alert(resource_id, of=of, every="1m", run_type="training")))
        properties = deployed(made)["properties"]
        (criterion,) = properties["criteria"]["allOf"]
        assert properties["evaluationFrequency"] == "PT1M"
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
