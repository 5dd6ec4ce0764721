"""`amllog alert` and `amllog workbook`: what they write, read back; members as Azure requires them."""

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
# Of learn.microsoft.com, azure/templates: member → type, or the values that it may have. All but the last are required.
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


def assert_shape(found: dict[str, Any], shape: dict[str, Any]) -> None:
    """Each member is there, of its type, and no other."""
    assert found.keys() == shape.keys()
    for name, kind in shape.items():
        assert (found[name] in kind) if isinstance(kind, set) else (type(found[name]) is kind), name


def deployed(template: dict[str, Any]) -> dict[str, Any]:
    """The resource as it is deployed: parameters and variables put in, ARM's escapes taken away."""
    given = {name: one["defaultValue"] for name, one in template["parameters"].items()}

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: put(item) for key, item in value.items()}
        if isinstance(value, list):
            return [put(item) for item in value]
        if not isinstance(value, str) or not value.startswith("["):
            return value
        if value.startswith("[["):
            return value[1:]
        if value == "[string(variables('content'))]":
            return json.dumps(put(template["variables"]["content"]))
        named = re.fullmatch(r"\[parameters\('(\w+)'\)\]", value)
        return put(given[named[1]]) if named else value

    (resource,) = template["resources"]
    return put(resource)


_TEXT = r"'(?P<{}>(?:[^'\\\n$]|\$(?!{{)|\\['\\nrt$])*)'"  # a bare ${ would begin an expression
_TOKEN = re.compile(
    rf"(?P<nothing>\s+|//[^\n]*|@description\({_TEXT.format('about')}\)|@allowed\(\[[^\]]*\]\))"
    rf"|'''\n(?P<block>.*?)'''|{_TEXT.format('text')}|(?P<number>-?\d+)"
    r"|(?P<word>[A-Za-z_]\w*(?:\([^()'\n]*(?:\(\)[^()'\n]*)?\))?(?:\.\w+)*)|(?P<sign>[{}\[\]:=])",
    re.DOTALL,
)
_ENDS, _ESCAPES = {"{": "}", "[": "]"}, {"n": "\n", "r": "\r", "t": "\t"}


class Bicep:
    """The parameters, variables and resource of a Bicep file, as far as we write Bicep; SyntaxError for all else."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if not match:
                raise SyntaxError(text[at : at + 40])
            at, kind = match.end(), str(match.lastgroup)
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
            raise SyntaxError(f"{text} is no {sign}")
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
    """All that a scheduled query rule needs, with parameters for what is set at deployment."""
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
    assert [one["name"] for one in criterion["dimensions"]] == ["run_type", "step_name"]
    assert '== "training"' in criterion["query"] and criterion["query"].startswith("union traces, ")
    assert "ago(" not in criterion["query"]  # the rule's window is its time


def test_workbook(cli: Any) -> None:
    """A shared workbook whose content is JSON of its own, over the resource that is a parameter."""
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
    assert [one["name"] for one in time["content"]["parameters"]] == ["TimeRange"]
    assert len(queries) == 5
    for one in (query["content"] for query in queries):
        assert one["timeContextFromParameter"] == "TimeRange" and one["crossComponentResources"] == [
            WORKSPACE
        ]
        assert one["resourceType"] == "microsoft.operationalinsights/workspaces"
        assert re.match("(union )?App", one["query"])


HARD = ["it's", "a\\b", "${x}", "'''", "[parameters('x')]", "line\nline", 'q"uote', "é", "//"]


@pytest.mark.parametrize("value", HARD)
@pytest.mark.parametrize("make", [rules.alert, rules.workbook])
def test_bicep_says_the_same(make: Any, value: str) -> None:
    """The Bicep is the ARM template's parameters, variables and resource, whatever text is in them."""
    template = make(ID, run_type=[value, "x"])._replace(
        variables={"content": {"text": value, value: [value, 1, True]}}
    )
    there = Bicep(templates.bicep(template))
    here = json.loads(templates.arm(template))

    def plain(item: Any) -> Any:
        """ARM's expressions in Bicep's words, marked as the parser marks them."""
        if isinstance(item, dict):
            return {key: plain(one) for key, one in item.items()}
        if isinstance(item, list):
            return [plain(one) for one in item]
        if isinstance(item, str) and item.startswith("[["):
            return item[1:]
        if isinstance(item, str) and item.startswith("["):
            return "=" + re.sub(r"(?:parameters|variables)\('(\w+)'\)", r"\1", item[1:-1])
        return item

    (resource,) = here["resources"]
    assert there.type == f"{resource.pop('type')}@{resource.pop('apiVersion')}"
    assert there.resource == plain(resource)
    assert there.variables == plain(here["variables"])
    assert there.parameters == {
        name: (one["type"], plain(one.get("defaultValue"))) for name, one in here["parameters"].items()
    }


def test_files_by_their_ending(cli: Any, tmp_path: Path) -> None:
    """FILE.bicep is Bicep; --format wins; the same command writes the same bytes."""
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
    """Azure runs no `union` every minute: a rule of one kind of error reads one table, and may."""
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
    ("arguments", "said"),
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
def test_wrong_usage(cli: Any, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, nothing on stdout, and a sentence that helps."""
    ran = cli("alert", *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
