"""One step of a pipeline, or a job of one step, as a planned step."""

from __future__ import annotations

from dataclasses import dataclass, replace

from amllog.local.definition.checked_map import CheckedMap
from amllog.local.definition.component_files import ComponentDefinition, body_kind, find_component
from amllog.local.definition.definition_context import DefinitionContext
from amllog.local.definition.finding_list import allowed_words
from amllog.local.definition.format_keys import STEP_KEYS, STEP_TYPES
from amllog.local.definition.input_values import StepInputs, add_defaults, fit_inputs, read_inputs
from amllog.local.definition.output_declarations import OutputDeclaration, read_outputs
from amllog.local.definition.pipeline_scope import PipelineScope, job_references
from amllog.local.definition.step_layers import StepLayers
from amllog.local.definition.step_tasks import command_step, parallel_step, spark_step, sweep_step
from amllog.local.plan.planned_steps import (
    PlannedOutput,
    PlannedStep,
    SourceLine,
    StepKind,
    StepOutput,
)

_BUILDERS = {"command": command_step, "parallel": parallel_step, "sweep": sweep_step, "spark": spark_step}
# Types of the service that cannot run on this machine, with the reason.
_SERVICE_TYPES = {
    "automl": "automl runs in the service only",
    "import": "imports run in the service only",
    "data_transfer": "data transfers run in the service only",
    "if_else": "control flow runs in the service only",
    "do_while": "control flow runs in the service only",
    "parallel_for": "control flow runs in the service only",
    "condition_node": "control flow runs in the service only",
    "flow": "prompt flows run in the service only",
    "promptflow_parallel": "prompt flows run in the service only",
}


@dataclass(frozen=True)
class StepSource:
    """A step in its file. `name` is its name in the plan. `component` is None for an inline step."""

    name: str
    values: CheckedMap
    component: ComponentDefinition | None
    scope: PipelineScope
    context: DefinitionContext
    position: SourceLine

    def kind(self) -> str:
        """Return the type: that of the step, of its component, or that of its keys."""
        component_kind = self.component.kind if self.component else ""
        return self.values.text("type") or component_kind or body_kind(self.values.node)

    def skip(self, reason: str) -> None:
        """Add a step that cannot run here. It keeps its order, and no data that a map would have to find."""
        references = job_references(self.values.node, self.scope)
        outputs = {}
        for name, output in read_outputs(self.values).items():
            kind = self.scope.output_types.get(output.bound_to)
            if kind is not None:
                target = StepOutput(self.name, name, "")
                self.context.bind_output(self.scope.group, output.bound_to, target, output.position)
            outputs[name] = PlannedOutput(output.type or kind or "uri_folder")
        step = PlannedStep(
            self.name,
            self.position,
            StepKind.UNSUPPORTED,
            self.scope.group,
            inputs={f"input_{i}": StepOutput(step, name, "") for i, (_, step, name) in enumerate(references)},
            outputs=outputs,
            skip_reason=reason,
            input_positions={f"input_{i}": line for i, (line, _, _) in enumerate(references)},
        )
        self.context.add_step(step)


def build_step(source: StepSource, inputs: StepInputs | None = None) -> None:
    """Add one step, which is no pipeline, to the plan. `inputs` are those of a job with values of `--input`."""
    kind, component, findings = source.kind(), source.component, source.context.findings
    service_kind = component.kind if component and component.kind in _SERVICE_TYPES else kind
    if component and component.skip_reason:
        source.skip(component.skip_reason)
    elif service_kind in _SERVICE_TYPES:
        source.skip(_SERVICE_TYPES[service_kind])
    elif kind not in _BUILDERS:
        end = allowed_words(kind, STEP_TYPES)
        owner = source.values if component is None or source.values.text("type") else component.values
        line = owner.line("type") if kind else source.position
        findings.error(
            line,
            f"unknown type {kind!r}{end}" if kind else f"the step has no type, command or component{end}",
        )
        source.skip("its type is unknown")
    elif component and component.kind != kind:
        if component.kind in STEP_TYPES:
            message = f"type = {kind!r}: the component has the type {component.kind!r}"
            findings.error(source.values.line("type"), message)
        else:
            end = allowed_words(component.kind, STEP_TYPES)
            findings.error(component.values.line("type"), f"unknown type {component.kind!r}{end}")
        source.skip("its component has another type")
    else:
        if source.scope.is_pipeline:
            source.values.check_keys(STEP_KEYS[kind], f"a {kind} step")
        layers = _layers(source, kind, inputs)
        if layers:
            planned = _BUILDERS[kind](layers)
            reason = " and ".join(layers.skip_reasons)
            if reason:
                planned = replace(planned, kind=StepKind.UNSUPPORTED, skip_reason=reason)
            source.context.add_step(planned)


def _layers(source: StepSource, kind: str, inputs: StepInputs | None) -> StepLayers | None:
    """Return the layers of a step, or None if it is skipped."""
    values, component = source.values, source.component
    space: tuple[str, ...] = ()
    declared = component.inputs if component else None
    if kind == "sweep" and component is None:
        space_map = values.map("search_space")
        space = tuple(space_map.node.items) if space_map else ()
        if values.node.get("trial") is None:
            source.context.findings.error(source.position, "the sweep has no trial")
            return None
        component = find_component(values, "trial", source.context, "command")
        if component is None or component.skip_reason:
            source.skip(component.skip_reason if component else "its trial is invalid")
            return None
        declared = component.inputs if "inputs" in component.values.node.items else None
    if inputs is None:
        inputs = read_inputs(values, declared, source.scope, source.context, source.position, space)
    elif kind == "sweep" and declared is not None:  # the inputs of the job are those of its trial
        fit_inputs(inputs, declared, source.context, source.position)
        add_defaults(inputs, declared, source.context, source.position, space)
    is_open = kind == "sweep" and component is not None and "outputs" not in component.values.node.items
    outputs = merged_outputs(values, None if is_open else component)
    layers = (values, component.values) if component else (values,)
    return StepLayers(
        source.name, source.position, layers, inputs, outputs, source.scope, source.context, space
    )


def merged_outputs(step: CheckedMap, component: ComponentDefinition | None) -> dict[str, OutputDeclaration]:
    """Return the outputs of a component with what the step adds to them."""
    given, outputs = read_outputs(step), step.map("outputs")
    if component is None or outputs is None:
        return {**(component.outputs if component else {}), **given}
    merged = dict(component.outputs)
    for name, output in given.items():
        if name not in merged and name != "artifacts":
            end = allowed_words(name, component.outputs, "declared")
            step.findings.error(outputs.line(name), f"the component has no output {name!r}{end}")
        declared = merged.get(name)
        merged[name] = replace(output, type=output.type or (declared.type if declared else ""))
    return merged
