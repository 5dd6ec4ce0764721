"""Plan a list of Python functions as a pipeline: each function is a step, and they run in the order of the list.

A parameter with the name of an earlier function gets the value that this function returns. The other parameters get
their values from the inputs, or keep their defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from amllog.local.plan.planned_steps import (
    Finding,
    InputValue,
    LiteralValue,
    PlannedOutput,
    PlannedPipeline,
    PlannedStep,
    SourceLine,
    StepKind,
    StepOutput,
    literal_type,
)
from amllog.local.step_kinds.function_step import RESULT

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_LITERALS = (bool, int, float, str)


def plan_functions(
    functions: Sequence[Callable[..., Any]], inputs: Mapping[str, Any], position: SourceLine
) -> tuple[PlannedPipeline, list[Finding]]:
    """Return the plan of the functions, and what prevents its start. `position`: the line that lists them."""
    steps: list[PlannedStep] = []
    findings: list[Finding] = []
    unused = set(inputs)
    for function in functions:
        name, line = getattr(function, "__name__", ""), _position(function, position)
        earlier = [step.name for step in steps]
        if not name.isidentifier():
            message = f"{function!r} has no name for its step: define it with def, or copy its name (functools.wraps)"
            findings.append(Finding(line, message))
        elif name in earlier:
            findings.append(
                Finding(line, f"two functions have the name {name}: the names of steps are unique")
            )
        else:
            step, messages = _plan_function(name, function, line, earlier, inputs)
            steps.append(step)
            findings += [Finding(line, message) for message in messages]
            unused -= _parameters(function).keys()
    names = {step.name for step in steps}
    for name in sorted(unused):
        findings.append(Finding(position, f"no function has the parameter {name} of the inputs"))
    for name in sorted(names & inputs.keys()):
        findings.append(Finding(position, f"the input {name} has the name of a function of the list"))
    plan = PlannedPipeline(
        name="functions", position=position, steps=tuple(steps), continue_on_step_failure=False
    )
    return plan, findings


def _plan_function(
    name: str,
    function: Callable[..., Any],
    position: SourceLine,
    earlier: Sequence[str],
    inputs: Mapping[str, Any],
) -> tuple[PlannedStep, list[str]]:
    """Return the step of one function, and the messages about its parameters."""
    values: dict[str, InputValue] = {}
    objects: dict[str, Any] = {}
    messages = []
    for key, parameter in _parameters(function).items():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            if parameter.default is inspect.Parameter.empty:
                messages.append(
                    f"the parameter {key} of {name} is positional only: values are passed by name"
                )
        elif key in earlier:
            values[key] = StepOutput(key, RESULT, "uri_file")
        elif key in inputs:
            objects[key] = inputs[key]
            if type(inputs[key]) in _LITERALS:
                values[key] = LiteralValue(inputs[key], literal_type(inputs[key]))
        elif parameter.default is inspect.Parameter.empty:
            functions = ", ".join(earlier) or "none"
            messages.append(
                f"the parameter {key} of {name} has no value: it is no earlier function ({functions}) and no input"
            )
    step = PlannedStep(
        name=name,
        position=position,
        kind=StepKind.FUNCTION,
        command=f"{name}({', '.join(_parameters(function))})",
        inputs=values,
        outputs={RESULT: PlannedOutput("uri_file")},
        after=tuple(earlier[-1:]),
        function=partial(function, **objects) if objects else function,
        is_reuse_allowed=False,  # no file contains what the function depends on
    )
    return step, messages


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters that a call can name. Those of functions without a signature are unknown, so empty."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins
        return {}
    kinds = (*_NAMED, inspect.Parameter.POSITIONAL_ONLY)
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in kinds}


def _position(function: Callable[..., Any], default: SourceLine) -> SourceLine:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return default if code is None else SourceLine(Path(code.co_filename), code.co_firstlineno)
