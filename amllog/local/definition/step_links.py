"""The links between the steps of a plan: outputs through nested pipelines, types, order and cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from amllog.local.definition.definition_context import DefinitionContext
from amllog.local.definition.finding_list import allowed_words
from amllog.local.plan.planned_steps import (
    InputValue,
    PlannedOutput,
    PlannedStep,
    SourceLine,
    StepKind,
    StepOutput,
)


def link_steps(context: DefinitionContext) -> list[PlannedStep]:
    """Return the steps in an order in which they can run. Unknown outputs and cycles are findings."""
    steps = {step.name: step for step in context.steps}
    for position, name, output in context.references:
        _check_reference(position, name, output, steps, context)
    steps = {name: _linked(step, steps, context) for name, step in steps.items()}
    return _ordered(steps, context)


def final_output(target: StepOutput, context: DefinitionContext) -> StepOutput | None:
    """Return the output of a step behind that of a nested pipeline, or None if nothing is bound to it."""
    for _ in range(len(context.groups) + 1):
        if target.step not in context.group_outputs:
            return target
        inner = context.outputs.get((target.step, target.output))
        if inner is None:
            return None
        target = inner
    return None


def _check_reference(
    position: SourceLine, name: str, output: str, steps: dict[str, PlannedStep], context: DefinitionContext
) -> None:
    """Report an output that its step does not have. A step that is skipped gets it, because `--stub` can give it."""
    short = name.rpartition(".")[2]
    step = steps.get(name)
    if name in context.group_outputs:
        declared = context.group_outputs[name]
        if output not in declared:
            end = allowed_words(output, declared)
            context.findings.error(position, f"the step {short!r} has no output {output!r}{end}")
        elif final_output(StepOutput(name, output), context) is None:
            message = f"the output {output!r} of the step {short!r} is bound to no step in its component"
            context.findings.error(position, message)
    elif step is None:
        return  # it is reported already
    elif step.kind is StepKind.UNSUPPORTED:
        outputs = {**step.outputs}
        outputs.setdefault(output, PlannedOutput())
        steps[name] = replace(step, outputs=outputs)
    elif output == "artifacts" and output not in step.outputs:
        message = f"the step {short!r} has no output 'artifacts': add 'artifacts:' to its outputs"
        context.findings.error(position, message)
    elif output not in step.outputs:
        end = allowed_words(output, step.outputs)
        context.findings.error(position, f"the step {short!r} has no output {output!r}{end}")


def _linked(step: PlannedStep, steps: dict[str, PlannedStep], context: DefinitionContext) -> PlannedStep:
    """Return a step whose inputs name steps and have types. An input from an output that does not exist is left out."""
    inputs: dict[str, InputValue] = {}
    for name, value in step.inputs.items():
        if not isinstance(value, StepOutput):
            inputs[name] = value
            continue
        target = final_output(value, context)
        producer = steps.get(target.step) if target else None
        if target is not None and producer is not None and target.output in producer.outputs:
            kind = value.type or producer.outputs[target.output].type
            inputs[name] = StepOutput(target.step, target.output, kind)
    return replace(step, inputs=inputs)


def _ordered(steps: dict[str, PlannedStep], context: DefinitionContext) -> list[PlannedStep]:
    """Return the steps, each after those that it requires, and otherwise in the order of the file."""
    done: dict[str, PlannedStep] = {}
    open_path: list[str] = []
    for first, step in steps.items():
        stack: list[tuple[str, Iterator[str]]] = []
        if first not in done:
            stack.append((first, iter(step.requires)))
            open_path = [first]
        while stack:
            name, rest = stack[-1]
            following = next((other for other in rest if other not in done and other in steps), None)
            if following is None:
                stack.pop()
                open_path.pop()
                done[name] = steps[name]
            elif following in open_path:
                _report_cycle([*open_path[open_path.index(following) :], following], steps, context)
            else:
                stack.append((following, iter(steps[following].requires)))
                open_path.append(following)
    return list(done.values())


def _report_cycle(path: list[str], steps: dict[str, PlannedStep], context: DefinitionContext) -> None:
    step = steps[path[0]]
    lines = [
        step.input_positions[name]
        for name, value in step.inputs.items()
        if isinstance(value, StepOutput) and value.step == path[1] and name in step.input_positions
    ]
    position = lines[0] if lines else step.position
    context.findings.error(position, f"the steps need each other: {' → '.join(path)}")
