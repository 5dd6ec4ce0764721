"""The names that the expressions of a step can use: inputs, outputs and steps of the pipeline around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from amllog.local.definition.definition_context import DefinitionContext
from amllog.local.definition.finding_list import allowed_words
from amllog.local.definition.format_expressions import (
    FormatExpression,
    expressions,
    malformed,
    replace_expressions,
)
from amllog.local.definition.yaml_nodes import YamlMap, YamlScalar, scalars
from amllog.local.plan.planned_steps import InputValue, LiteralValue, SourceLine

# Their expressions are those of a component or command, which has names of its own.
_OTHER_NAMES = {
    "command", "component", "jobs", "trial", "task", "args", "input_data", "search_space", "code", "$schema",
    "description", "conf", "entry",
}  # fmt: skip


@dataclass(frozen=True)
class BoundValue:
    """The value of an input. None is an optional input without a value, or an invalid one, which is reported.

    Paths in a string are relative to `folder`. The file gives no type to data that `is_untyped`.
    """

    value: InputValue | None
    folder: Path
    is_invalid: bool = False
    is_untyped: bool = False


@dataclass(frozen=True)
class PipelineScope:
    """The names of one pipeline. `group` is "" for the outermost one. A job that is no pipeline has no names."""

    group: str = ""
    inputs: Mapping[str, BoundValue] = field(default_factory=lambda: MappingProxyType({}))
    output_types: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    jobs: Collection[str] = ()
    is_pipeline: bool = True

    def full(self, step: str) -> str:
        """Return the name of a step in the plan."""
        return f"{self.group}.{step}" if self.group else step

    def substitute(self, scalar: YamlScalar) -> str:
        """Return a string with the literals of the pipeline's inputs in place of their expressions."""
        return replace_expressions(scalar.text, self._literal)

    def _literal(self, expression: FormatExpression) -> str | None:
        bound = self.inputs.get(expression.name) if expression.kind == "parent.inputs" else None
        return str(bound.value.value) if bound and isinstance(bound.value, LiteralValue) else None


def check_references(step: YamlMap, scope: PipelineScope, context: DefinitionContext) -> None:
    """Report the expressions of a step that name nothing. The outputs of other steps are checked at the end."""
    context.references.extend(job_references(step, scope))
    for key, node in step.items.items():
        for scalar in scalars(node) if key not in _OTHER_NAMES else ():
            for message in malformed(scalar.text):
                context.findings.error(scalar.position, message)
            for expression in expressions(scalar.text):
                message = _message(expression, key, scope)
                if message:
                    context.findings.error(scalar.position, message)


def _message(expression: FormatExpression, key: str, scope: PipelineScope) -> str:
    kind, text = expression.kind, "${{" + expression.text + "}}"
    if kind.startswith("parent.") and not scope.is_pipeline:
        return f"{text}: this job is not in a pipeline, so it has no parent"
    if kind == "parent.inputs" and expression.name not in scope.inputs:
        return f"{text}: the pipeline has no input {expression.name!r}{allowed_words(expression.name, scope.inputs)}"
    if kind == "parent.outputs" and expression.name not in scope.output_types:
        end = allowed_words(expression.name, scope.output_types)
        return f"{text}: the pipeline has no output {expression.name!r}{end}"
    if kind == "parent.jobs" and expression.step not in scope.jobs:
        return f"{text}: the pipeline has no step {expression.step!r}{allowed_words(expression.step, scope.jobs)}"
    if kind in {"inputs", "outputs"} and key in {"inputs", "outputs"}:
        instead = f"${{{{parent.{expression.text}}}}}" if scope.is_pipeline else "the value"
        return f"{text} is not allowed here: write {instead}"
    if kind != "unknown":
        return ""
    if not scope.is_pipeline:
        return f"unknown expression {text}: in a job, write the value"
    return (
        f"unknown expression {text}: allowed are ${{{{parent.inputs.NAME}}}}, ${{{{parent.outputs.NAME}}}} "
        "and ${{parent.jobs.STEP.outputs.NAME}}"
    )


def job_references(step: YamlMap, scope: PipelineScope) -> list[tuple[SourceLine, str, str]]:
    """Return the outputs of other steps that a step uses: position, step in the plan, and output."""
    return [
        (scalar.position, scope.full(expression.step), expression.name)
        for key, node in step.items.items()
        if key not in _OTHER_NAMES
        for scalar in scalars(node)
        for expression in expressions(scalar.text)
        if expression.kind == "parent.jobs" and expression.step in scope.jobs
    ]
