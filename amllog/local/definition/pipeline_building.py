"""The steps of a pipeline, and those of the pipelines inside it."""

from __future__ import annotations

import re

from amllog.local.definition.checked_map import CheckedMap, shown
from amllog.local.definition.component_files import ComponentDefinition, body_kind, find_component
from amllog.local.definition.definition_context import DefinitionContext
from amllog.local.definition.finding_list import allowed_words
from amllog.local.definition.format_keys import SETTINGS, STEP_KEYS
from amllog.local.definition.input_values import read_inputs
from amllog.local.definition.output_declarations import OutputDeclaration
from amllog.local.definition.pipeline_scope import PipelineScope, check_references
from amllog.local.definition.step_building import StepSource, build_step, merged_outputs
from amllog.local.definition.yaml_nodes import YamlMap
from amllog.local.plan.planned_steps import SourceLine, StepOutput

_MAX_LEVELS = 20


def read_settings_key(values: CheckedMap) -> CheckedMap | None:
    """Return the key `settings` of a pipeline. azure-ai-ml ignores unknown settings, so they are warnings."""
    settings = values.map("settings")
    if settings is None:
        return None
    for key in settings.node.items:
        if key not in SETTINGS:
            message = f"unknown setting {key!r}{allowed_words(key, SETTINGS)}"
            settings.findings.warning(settings.line(key), message)
    return settings


def build_pipeline(values: CheckedMap, scope: PipelineScope, context: DefinitionContext) -> None:
    """Add the steps of a pipeline to the plan."""
    jobs = values.map("jobs")
    if jobs is None or not jobs.node.items:
        if jobs is not None or values.node.get("jobs") is None:
            context.findings.error(values.line("jobs"), "the pipeline has no jobs")
        return
    for name, node in jobs.node.items.items():
        position = jobs.line(name)
        if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
            message = f"the step name {name!r} is invalid: allowed are letters, digits, '_' and '-'"
            context.findings.error(position, message)
        elif not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            message = f"azure-ai-ml rejects the step name {name!r}: it allows a-z, 0-9 and '_'"
            context.findings.warning(position, message)
        if not isinstance(node, YamlMap):
            context.findings.error(position, f"step {name} = {shown(node)}: allowed is a mapping")
            continue
        step = CheckedMap(node, context.findings, scope.substitute)
        check_references(node, scope, context)
        _build(name, step, scope, context, position)
    _warn_unbound_outputs(values, scope, context)


def _warn_unbound_outputs(values: CheckedMap, scope: PipelineScope, context: DefinitionContext) -> None:
    """Report the outputs of a pipeline that no step writes. After an error, its step may be one that is left out."""
    outputs = values.map("outputs")
    if outputs is None or context.findings.has_errors:
        return
    for name in outputs.node.items:
        if (scope.group, name) not in context.outputs:
            message = f"no step writes the output {name!r}: bind one with ${{{{parent.outputs.{name}}}}}"
            context.findings.warning(outputs.line(name), message)


def _build(
    name: str, step: CheckedMap, scope: PipelineScope, context: DefinitionContext, position: SourceLine
) -> None:
    component = None
    if not step.node.items.keys() & {"component", "type"} and not body_kind(step.node):
        step.check_keys(set().union(*STEP_KEYS.values()), "a step")
    if step.node.get("component") is not None:
        component = find_component(step, "component", context)
        if component is None:
            StepSource(scope.full(name), step, None, scope, context, position).skip(
                "its component is invalid"
            )
            return
    source = StepSource(scope.full(name), step, component, scope, context, position)
    if source.kind() == "pipeline" and not (component and component.skip_reason):
        _build_group(source)
    else:
        build_step(source)


def _build_group(source: StepSource) -> None:
    """Add the steps of a pipeline component, whose inputs and outputs are bound to those around it."""
    context, scope, component = source.context, source.scope, source.component
    findings = context.findings
    if component is None:  # a step of the type pipeline with its own jobs
        findings.error(source.position, "a step of the type pipeline has no component")
        source.skip("it has no component")
        return
    if component.kind != "pipeline":
        message = f"type = 'pipeline': the component has the type {component.kind!r}"
        findings.error(source.values.line("type"), message)
        source.skip("its component has another type")
        return
    source.values.check_keys(STEP_KEYS["pipeline"] | {"settings"}, "a pipeline step")
    node = component.values.node
    if node in context.open_pipelines or len(context.open_pipelines) == _MAX_LEVELS:
        reason = (
            "contains itself" if node in context.open_pipelines else f"is more than {_MAX_LEVELS} levels deep"
        )
        findings.error(source.position, f"the pipeline component {reason}")
        source.skip(f"its component {reason}")
        return
    if context.is_full(source.position):
        return
    inputs = read_inputs(source.values, component.inputs, scope, context, source.position)
    outputs = merged_outputs(source.values, component)
    types = _output_types(outputs, scope)
    for name, output in outputs.items():
        if output.bound_to in scope.output_types:
            target = StepOutput(source.name, name, "")
            context.bind_output(scope.group, output.bound_to, target, output.position)
    context.groups.append(source.name)
    context.declare_outputs(source.name, types)
    open_nested(
        component, PipelineScope(source.name, inputs.bound, types, jobs_of(component.values)), context
    )


def open_nested(component: ComponentDefinition, scope: PipelineScope, context: DefinitionContext) -> None:
    """Add the steps of a component, and remember that it is open."""
    context.open_pipelines.append(component.values.node)
    build_pipeline(component.values, scope, context)
    context.open_pipelines.pop()


def _output_types(outputs: dict[str, OutputDeclaration], scope: PipelineScope) -> dict[str, str]:
    return {
        name: output.type or scope.output_types.get(output.bound_to, "") for name, output in outputs.items()
    }


def jobs_of(values: CheckedMap) -> list[str]:
    """Return the names of the steps of a pipeline."""
    node = values.node.get("jobs")
    return list(node.items) if isinstance(node, YamlMap) else []
