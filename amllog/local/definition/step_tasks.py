"""The parts of steps that only one type has: parallel, sweep and spark."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

from amllog.local.definition.checked_map import CheckedMap, shown
from amllog.local.definition.finding_list import allowed_words
from amllog.local.definition.format_expressions import expressions, single_expression
from amllog.local.definition.format_keys import (
    OBJECTIVE_KEYS,
    SAMPLING_ALGORITHMS,
    SEARCH_SPACE_KEYS,
    TASK_KEYS,
    TASK_TYPES,
)
from amllog.local.definition.step_layers import StepLayers
from amllog.local.definition.yaml_nodes import YamlMap, YamlScalar, plain
from amllog.local.plan.planned_steps import ParallelTask, PlannedStep, SparkTask, StepKind, SweepTask


def command_step(step: StepLayers) -> PlannedStep:
    """Return a step of the type command."""
    owner = step.owner("command")
    if not owner.text("command").strip():
        is_inline = len(step.layers) == 1 and owner.node.get("command") is None
        message = "the command is empty" if owner.node.get("command") else "the step has no command"
        step.context.findings.error(step.position if is_inline else owner.line("command"), message)
    limits = step.limits("command")
    return PlannedStep(
        **step.common(),
        command=step.command("command"),
        code=step.code(),
        environment=step.environment(),
        timeout_seconds=limits.number("timeout") if limits else None,
        max_retries=step.retries()[0] or 0,
        distribution=step.distribution(),
    )


def parallel_step(step: StepLayers) -> PlannedStep:
    """Return a step of the type parallel."""
    task = step.owner("task").map("task")
    if task is None:
        step.context.findings.error(step.position, "the parallel step has no task")
        task = CheckedMap(YamlMap({}, step.position), step.context.findings)
    task.check_keys(TASK_KEYS, "task")
    task.word("type", TASK_TYPES)
    for key in ("mini_batch_size", "logging_level"):
        step.note_line(key, step.owner(key))
    step.note_line("entry_script", task)
    if not task.text("entry_script"):
        step.context.findings.error(task.node.position, "the task has no entry_script")
    retries, timeout = step.retries()
    append = task.text("append_row_to")
    threshold = step.owner("mini_batch_error_threshold").integer("mini_batch_error_threshold", -1)
    planned = ParallelTask(
        entry_script=task.text("entry_script"),
        input_data=_input_data(step),
        program_arguments=step.command("program_arguments", task),
        mini_batch_size=step.owner("mini_batch_size").text("mini_batch_size"),
        partition_keys=step.owner("partition_keys").texts("partition_keys"),
        mini_batch_error_threshold=-1 if threshold is None else threshold,
        logging_level=step.owner("logging_level").text("logging_level", "INFO").upper(),
        max_concurrency_per_instance=step.owner("max_concurrency_per_instance").integer(
            "max_concurrency_per_instance", 1
        ),
        instance_count=step.instance_count(),
        max_retries=2 if retries is None else retries,
        timeout_seconds=60 if timeout is None else timeout,
        append_row_to=step.command("append_row_to", task) if append else None,
    )
    return PlannedStep(
        **step.common(),
        kind=StepKind.PARALLEL,
        code=step.code(task),
        environment=step.environment(task if task.node.get("environment") else None),
        parallel=planned,
    )


def _input_data(step: StepLayers) -> str:
    """Return the name of the input that is divided."""
    owner = step.owner("input_data")
    text = owner.text("input_data")
    expression = single_expression(text)
    name = expression.name if expression and expression.kind == "inputs" else text
    if not text:
        step.context.findings.error(step.position, "the parallel step has no input_data")
    elif name not in step.inputs.names:
        end = allowed_words(name, step.inputs.names, "declared")
        step.context.findings.error(owner.line("input_data"), f"input_data = {text!r} is not an input{end}")
    return name


def sweep_step(step: StepLayers) -> PlannedStep:
    """Return a step of the type sweep. The layers are those of the sweep, and then of its trial."""
    sweep, trial = step.layers[0], step.layers[-1]
    findings = step.context.findings
    limits, objective = step.limits("sweep"), sweep.map("objective")
    space = sweep.map("search_space")
    for key in ("objective", "search_space"):
        if sweep.node.get(key) is None:
            findings.error(step.position, f"the sweep has no {key}")
    termination = sweep.map("early_termination")
    if termination:
        findings.note(sweep.line("early_termination"), "early termination is ignored on this machine")
    goal = _goal(objective) if objective else "minimize"
    if space:
        _check_names(step, space)
    for key in ("objective", "search_space", "limits", "sampling_algorithm"):
        step.note_line(key, sweep)
    sampling, seed = _sampling(sweep)
    task = SweepTask(
        search_space={name: _distribution(space, name) for name in space.node.items} if space else {},
        sampling_algorithm=sampling,
        seed=seed,
        goal=goal,
        primary_metric=objective.text("primary_metric") if objective else "",
        max_total_trials=(limits.integer("max_total_trials", 1) if limits else None) or 10,
        max_concurrent_trials=limits.integer("max_concurrent_trials", 1) if limits else None,
        trial_timeout_seconds=limits.number("trial_timeout") if limits else None,
        early_termination=termination.text("type") if termination else "",
    )
    if trial.node.get("command") is None:
        findings.error(trial.node.position, "the trial has no command")
    return PlannedStep(
        **step.common(),
        kind=StepKind.SWEEP,
        command=step.command("command", trial),
        code=step.code(trial),
        environment=step.environment(trial),
        timeout_seconds=limits.number("timeout") if limits else None,
        distribution=step.distribution(),
        sweep=task,
    )


def _goal(objective: CheckedMap) -> str:
    """Return the goal after the check of the keys of the objective."""
    objective.check_keys(OBJECTIVE_KEYS, "objective")
    for key in OBJECTIVE_KEYS:
        if objective.node.get(key) is None:
            objective.findings.error(objective.node.position, f"the objective has no {key}")
    return objective.word("goal", ("minimize", "maximize")) or "minimize"


def _check_names(step: StepLayers, space: CheckedMap) -> None:
    """Report parameters that the trial does not use. One that is similar to an input of the trial is a mistake."""
    trial = step.layers[-1]
    inputs = trial.node.get("inputs")
    declared = set(inputs.items) if isinstance(inputs, YamlMap) else set()
    used = {expression.name for expression in expressions(trial.text("command"))} | declared
    for name in sorted(space.node.items.keys() - used):
        end = allowed_words(name, declared, "declared")
        add = space.findings.error if "Did you mean" in end else space.findings.warning
        add(space.line(name), f"the trial has no input {name!r}{end}")


def _sampling(sweep: CheckedMap) -> tuple[str, int | None]:
    node = sweep.node.get("sampling_algorithm")
    values = sweep.map("sampling_algorithm") if isinstance(node, YamlMap) else None
    name = (values.text("type") if values else sweep.text("sampling_algorithm", "random")).lower()
    if name not in SAMPLING_ALGORITHMS:
        end = allowed_words(name, SAMPLING_ALGORITHMS)
        sweep.findings.error(sweep.line("sampling_algorithm"), f"unknown sampling algorithm {name!r}{end}")
        return "random", None
    if name == "bayesian":
        message = "bayesian sampling is replaced by random sampling on this machine"
        sweep.findings.warning(sweep.line("sampling_algorithm"), message)
    return name, values.integer("seed") if values else None


def _distribution(space: CheckedMap, name: str) -> MappingProxyType[str, Any]:
    """Return the distribution of one parameter after the check of its keys."""
    node = space.node.items[name]
    if not isinstance(node, YamlMap):
        space.findings.error(space.line(name), f"search_space.{name} = {shown(node)}: allowed is a mapping")
        return MappingProxyType({})
    values = CheckedMap(node, space.findings)
    numbers: dict[str, float | None] = {}
    kind = values.text("type").lower()
    if kind not in SEARCH_SPACE_KEYS:
        end = allowed_words(kind, SEARCH_SPACE_KEYS)
        space.findings.error(values.line("type"), f"unknown type {kind!r} of a search space{end}")
    else:
        values.check_keys({"type", *SEARCH_SPACE_KEYS[kind]}, f"the search space {kind}")
        for key in SEARCH_SPACE_KEYS[kind]:
            if key not in node.items:
                space.findings.error(space.line(name), f"search_space.{name} of the type {kind} has no {key}")
            elif key != "values":  # YAML 1.1 reads 1e-4 as a string, which azure-ai-ml converts to a number
                numbers[key] = values.number(key, -math.inf)
    return MappingProxyType({**plain(node), **numbers, "type": kind})


def spark_step(step: StepLayers) -> PlannedStep:
    """Return a step of the type spark."""
    owner = step.owner("entry")
    step.note_line("entry", owner)
    node = owner.node.get("entry")
    entry = owner.text("entry") if isinstance(node, YamlScalar) else ""
    if isinstance(node, YamlMap):
        values = CheckedMap(node, step.context.findings)
        entry = values.text("file")
        if not entry and values.text("class_name"):
            step.skip_reasons.append("its entry is a class of a jar")
    if not entry and not step.skip_reasons:
        step.context.findings.error(owner.line("entry"), "the spark step has no entry.file")
    task = SparkTask(
        entry=entry,
        args=step.command("args"),
        conf=MappingProxyType(step.owner("conf").plain("conf")),
        py_files=step.owner("py_files").texts("py_files"),
        jars=step.owner("jars").texts("jars"),
        files=step.owner("files").texts("files"),
    )
    return PlannedStep(
        **step.common(),
        kind=StepKind.SPARK,
        code=step.code(),
        environment=step.environment(),
        spark=task,
    )
