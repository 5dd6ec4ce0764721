"""Lists of functions as pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amllog.local.plan.planned_steps import LiteralValue, SourceLine, StepOutput
from amllog.local.step_objects.function_steps import plan_functions

HERE = SourceLine(Path("steps.py"), 7)


def load(rows: int, path: Any = None) -> list[int]:
    """Return rows."""
    return list(range(rows))


def train(load: list[int], rate: float, options: Any = None) -> float:
    """Return a number."""
    return len(load) * rate


def test_parameters_get_results_and_inputs() -> None:
    """A parameter gets the value of the earlier function of its name, an input, or its default."""
    options = {"deep": True}
    plan, findings = plan_functions([load, train], {"rows": 3, "rate": 0.5, "options": options}, HERE)
    assert findings == []
    first, second = plan.steps
    assert (first.name, first.after, dict(first.inputs)) == ("load", (), {"rows": LiteralValue(3, "integer")})
    assert (second.after, second.requires) == (("load",), ("load",))
    assert second.inputs["load"] == StepOutput("load", "result", "uri_file")
    assert second.function is not None and second.function([1, 2]) == 1.0
    assert second.position == SourceLine(Path(__file__), train.__code__.co_firstlineno)


def test_findings() -> None:
    """Each missing value, unused input and unusable function is one finding with its line."""

    def positional(load: Any, /) -> None:
        """Take a value without its name."""

    plan, findings = plan_functions([train, load, load, lambda: 1, positional], {"rats": 1, "load": 2}, HERE)
    assert plan.steps[0].name == "train"
    messages = [finding.message for finding in findings]
    assert messages[0].startswith(
        "the parameter rate of train has no value: it is no earlier function (none)"
    )
    assert messages[1].startswith(
        "the parameter rows of load has no value: it is no earlier function (train)"
    )
    assert messages[2] == "two functions have the name load: the names of steps are unique"
    assert "has no name for its step" in messages[3]
    assert messages[4] == "the parameter load of positional is positional only: values are passed by name"
    assert messages[5:] == [
        "no function has the parameter rats of the inputs",
        "the input load has the name of a function of the list",
    ]
    assert findings[1].position == SourceLine(Path(__file__), load.__code__.co_firstlineno)
    assert findings[5].position == HERE
