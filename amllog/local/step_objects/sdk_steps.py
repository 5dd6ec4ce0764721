"""Plan step objects of SDK v1 as a pipeline: `[PythonScriptStep(…), …]`.

The steps are read, never their `Pipeline`, which needs a workspace. Producers of inputs and the steps of `run_after`
belong to the pipeline also if the list does not have them, as in the service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from amllog.local.definition.yaml_nodes import parse_yaml, plain
from amllog.local.plan.planned_steps import (
    EnvironmentReference,
    Finding,
    InputValue,
    PlannedOutput,
    PlannedPipeline,
    PlannedStep,
    Severity,
    SourceLine,
    StepKind,
    StepOutput,
)
from amllog.local.step_objects import sdk_parallel, sdk_ports

_NO_ENVIRONMENTS = ("", "default-environment")
_EXAMPLE = "EXAMPLE_ENV_VAR"  # the SDK puts it into every environment


def plan_steps(
    source: Iterable[Any], inputs: Mapping[str, Any], position: SourceLine
) -> tuple[PlannedPipeline | None, list[Finding]]:
    """Return the plan of the steps, and findings. `inputs` are values of pipeline parameters.

    The plan is None if the steps have no order.
    """
    try:
        objects, after = _ordered(source)
    except ValueError as error:
        return None, [Finding(position, str(error))]
    names = _step_names(objects)
    steps, findings = [], []
    for step in objects:
        try:
            planned, messages = _plan_step(step, names, inputs, position)
        except ValueError as error:
            findings.append(Finding(position, f"step {names[id(step)]}: {error}"))
            continue
        others = (*after.get(id(step), ()), *getattr(step, "run_after_steps", ()))
        steps.append(replace(planned, after=tuple(dict.fromkeys(names[id(other)] for other in others))))
        findings += [
            Finding(position, f"step {planned.name}: {message}", Severity.WARNING) for message in messages
        ]
    parameters = {parameter.name for step in objects for parameter in _parameters(step)}
    findings += [
        Finding(position, f"no step has the pipeline parameter {name} of the inputs")
        for name in inputs
        if name not in parameters
    ]
    return PlannedPipeline(name="steps", position=position, steps=tuple(steps)), findings


def _ordered(source: Iterable[Any]) -> tuple[list[Any], dict[int, list[Any]]]:
    """Return all steps, each after those that it requires, and for steps of a StepSequence the steps before them.

    Raises ValueError if steps need each other.
    """
    after: dict[int, list[Any]] = {}
    given = _flattened(source, after)
    order: dict[int, Any] = {}
    path: dict[int, str] = {}  # the names of the steps that wait for the current one

    def add(step: Any) -> None:
        if id(step) in order:
            return
        if id(step) in path:
            names = list(path.values())[list(path).index(id(step)) :]
            raise ValueError(f"the steps need each other: {' → '.join([*names, str(step.name)])}")
        path[id(step)] = str(step.name)
        ports = (*step._inputs, *getattr(step, "_resource_inputs", ()))
        producers = [producer for producer in map(sdk_ports.producer, ports) if producer is not None]
        for other in (*producers, *step.run_after_steps, *after.get(id(step), ())):
            add(other)
        del path[id(step)]
        order[id(step)] = step

    for step in given:
        add(step)
    return list(order.values()), after


def _flattened(source: Iterable[Any], after: dict[int, list[Any]]) -> list[Any]:
    """Return the steps of nested lists. Fill `after` for those of a StepSequence, whose elements run one by one."""
    steps: list[Any] = []
    before: list[Any] = []
    for element in source:
        members = [element] if sdk_ports.is_step(element) else _flattened(element, after)
        if type(source).__name__ == "StepSequence":
            for member in members:
                after.setdefault(id(member), []).extend(before)
            before = members
        steps += members
    return steps


def _step_names(steps: Sequence[Any]) -> dict[int, str]:
    """Return a unique name for each step that is also the name of a folder."""
    names: dict[int, str] = {}
    for step in steps:
        name = base = re.sub(r"[^\w-]+", "_", str(step.name)).strip("_") or "step"
        number = 2
        while name in names.values():
            name, number = f"{base}_{number}", number + 1
        names[id(step)] = name
    return names


def _plan_step(
    step: Any, names: Mapping[int, str], parameters: Mapping[str, Any], position: SourceLine
) -> tuple[PlannedStep, list[str]]:
    """Return one step and warnings. Raises ValueError if its data or its arguments have no form that can run here."""
    ports = {
        sdk_ports.port_name(port): port for port in (*step._inputs, *getattr(step, "_resource_inputs", ()))
    }
    values = {name: _input_value(port, names, parameters, position) for name, port in ports.items()}
    outputs = {sdk_ports.port_name(port): port for port in step._outputs}
    kind = str(getattr(step, "step_type", type(step).__name__))
    planned = PlannedStep(
        name=names[id(step)],
        position=position,
        display_name=str(step.name),
        inputs=values,
        outputs={name: PlannedOutput(is_created=_is_created(port, kind)) for name, port in outputs.items()},
        is_reuse_allowed=bool(getattr(step, "_allow_reuse", True)),
    )
    script, command = getattr(step, "_script_name", None), getattr(step, "_command", None)
    if kind not in ("PythonScriptStep", "CommandStep", "ParallelRunStep"):
        reason = f"steps of type {kind} run in Azure only"
        return replace(planned, kind=StepKind.UNSUPPORTED, skip_reason=reason), []
    given = {id(port): name for name, port in ports.items()}
    given.update({id(sdk_ports.content(port)): name for name, port in ports.items()})
    written = {id(port): name for name, port in outputs.items()}
    folder = getattr(step, "_source_directory", None)
    planned = replace(planned, code=None if folder is None and command else Path(folder or ".").absolute())
    planned, messages = _with_configuration(planned, getattr(step, "_runconfig", None), position)
    if kind == "ParallelRunStep":
        task, rest = sdk_parallel.task(step, next(iter(values), ""), next(iter(outputs), ""), parameters)
        program = " ".join(sdk_ports.words(rest, given, written, parameters))
        task = replace(task, program_arguments=program)
        return replace(planned, kind=StepKind.PARALLEL, parallel=task), []
    words = sdk_ports.words(step._arguments or (), given, written, parameters)
    if command and not script:
        return replace(planned, command=" ".join((str(command), *words))), messages
    return replace(planned, arguments=("python", str(script), *words)), messages


def _input_value(
    port: Any, names: Mapping[int, str], parameters: Mapping[str, Any], position: SourceLine
) -> InputValue:
    producer = sdk_ports.producer(port)
    if producer is None:
        return sdk_ports.data_value(port, parameters, position)
    return StepOutput(names[id(producer)], sdk_ports.port_name(sdk_ports.content(port)))


def _is_created(port: Any, kind: str) -> bool:
    """Return whether the folder of an output is created before the script runs. That of PipelineData is not.

    The driver of a ParallelRunStep creates all of its outputs.
    """
    return kind == "ParallelRunStep" or not hasattr(port, "_producer") or hasattr(port, "_origin")


def _with_configuration(
    step: PlannedStep, configuration: Any, position: SourceLine
) -> tuple[PlannedStep, list[str]]:
    """Return a step with the environment and the limits of its RunConfiguration, and warnings."""
    if configuration is None:
        return step, []
    environment = getattr(configuration, "environment", None)
    name = getattr(environment, "name", None) or ""
    variables = {
        **(getattr(environment, "environment_variables", None) or {}),
        **(getattr(configuration, "environment_variables", None) or {}),
    }
    nodes = getattr(configuration, "node_count", None) or 1
    return replace(
        step,
        environment=None
        if name in _NO_ENVIRONMENTS
        else EnvironmentReference(f"azureml:{name}", conda_file=_conda(environment), position=position),
        environment_variables={str(key): str(value) for key, value in variables.items() if key != _EXAMPLE},
        timeout_seconds=getattr(configuration, "max_run_duration_seconds", None),
    ), [f"node_count is {nodes}, and here it runs as one process"] if nodes > 1 else []


def _conda(environment: Any) -> Mapping[str, Any] | None:
    """Return the content of the conda file of an Environment, from which a map can build a virtual environment."""
    packages = getattr(getattr(environment, "python", None), "conda_dependencies", None)
    serialize = getattr(packages, "serialize_to_string", None)
    if serialize is None:
        return None
    content = plain(parse_yaml(serialize(), Path()).root)
    return content if isinstance(content, dict) else None


def _parameters(step: Any) -> list[Any]:
    """Return the pipeline parameters that a step uses."""
    candidates = (*(getattr(step, "_arguments", None) or ()), *map(sdk_ports.content, step._inputs))
    return [candidate for candidate in candidates if sdk_ports.is_parameter(candidate)]
