"""Templates as ARM JSON and as Bicep."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from amllog.insights.alerts import rules, templates

from .bicep import Bicep  # isort: skip

ID = "/subscriptions/s/resourceGroups/g/providers/microsoft.insights/components/c"
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
