"""Entry of the definition: a file of Azure ML's format as a planned pipeline, with findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from amllog.local.definition.checked_map import CheckedMap, absolute
from amllog.local.definition.component_files import ComponentDefinition, body_kind, find_component
from amllog.local.definition.definition_context import DefinitionContext
from amllog.local.definition.finding_list import allowed_words
from amllog.local.definition.format_expressions import single_expression
from amllog.local.definition.format_keys import COMPONENT_KEYS, JOB_KEYS, JOB_TYPES
from amllog.local.definition.input_declarations import (
    InputDeclaration,
    command_line_value,
    read_declarations,
)
from amllog.local.definition.input_values import StepInputs, read_inputs
from amllog.local.definition.output_declarations import OutputDeclaration, read_outputs
from amllog.local.definition.pipeline_building import (
    build_pipeline,
    jobs_of,
    open_nested,
    read_settings_key,
)
from amllog.local.definition.pipeline_scope import BoundValue, PipelineScope, check_references
from amllog.local.definition.step_building import StepSource, build_step
from amllog.local.definition.step_links import final_output, link_steps
from amllog.local.definition.yaml_nodes import YamlMap, YamlNode, YamlScalar, scalars
from amllog.local.plan.planned_steps import Finding, LocalData, PlannedPipeline, SourceLine, StepOutput


@dataclass(frozen=True)
class DefinitionResult:
    """The planned pipeline and the findings in file order.

    The pipeline is None if there is an error, because a plan with errors has steps without their inputs.
    """

    pipeline: PlannedPipeline | None
    findings: list[Finding]


def read_file(
    path: Path,
    inputs: Mapping[str, str],
    components: Mapping[str, Path] | None = None,
    is_dump: bool = False,
) -> DefinitionResult:
    """Read a pipeline, job or component file.

    `inputs` are values of `--input name=value`. Their paths are relative to the working directory. `components` maps
    registered components to files. Data and environments stay references. `is_dump`: azure-ai-ml wrote the file. It
    leaves out the outputs of the pipeline that have no keys.
    """
    context = DefinitionContext(components or {})
    root = context.document(path).root
    plan = None
    if isinstance(root, YamlMap):
        plan = _FileReading(CheckedMap(root, context.findings), path, inputs, context).plan(is_dump)
    elif not context.findings.sorted():
        context.findings.error(
            SourceLine(path, 1),
            f"the file is {'not a mapping' if root else 'empty'}{allowed_words('', JOB_TYPES)}",
        )
    return DefinitionResult(None if context.findings.has_errors else plan, context.findings.sorted())


class _FileReading:
    """The reading of one file: its values, the given inputs, and the steps so far."""

    def __init__(
        self, values: CheckedMap, path: Path, given: Mapping[str, str], context: DefinitionContext
    ) -> None:
        self.values, self.path, self.given, self.context = values, path, given, context
        self.kind = body_kind(values.node)
        self.component: ComponentDefinition | None = None

    def plan(self, is_dump: bool) -> PlannedPipeline | None:
        """Return the plan, or None if the file is no job."""
        if not self._is_job():
            return None
        if is_dump:
            self._declare_bound_outputs()
        settings = read_settings_key(self.values)
        owner = settings or self.values
        self.context.allow_reuse(not owner.boolean("force_rerun", False))
        if self.kind == "pipeline" and self.values.node.get("component") is not None:
            self.component = find_component(self.values, "component", self.context)
            if self.component is None:
                return None
        outputs = read_outputs(self.values)
        scope_inputs = self._read()
        steps = link_steps(self.context)
        is_continued = self.values.boolean("continue_on_step_failure", True)
        name = self.values.text("name") or self.path.stem
        return PlannedPipeline(
            name=name,
            position=SourceLine(self.path, 1),
            steps=tuple(steps),
            display_name=self.values.text("display_name") or name,
            experiment_name=self.values.text("experiment_name") or "local",
            continue_on_step_failure=owner.boolean("continue_on_step_failure", is_continued),
            inputs={key: bound.value for key, bound in scope_inputs.items() if bound.value is not None},
            outputs=self._outputs(),
            output_paths={key: output.path for key, output in outputs.items() if output.path},
            groups=tuple(self.context.groups),
            source=absolute(Path(), str(self.path)),
            is_single=not self._is_pipeline(),
        )

    def _declare_bound_outputs(self) -> None:
        """Add the outputs that steps are bound to, as null, to those of the file."""
        jobs, outputs = self.values.map("jobs"), self.values.map("outputs")
        items: dict[str, YamlNode] = {**outputs.node.items} if outputs else {}
        for step in jobs.node.items.values() if jobs else ():
            for scalar in scalars(step.get("outputs")) if isinstance(step, YamlMap) else ():
                expression = single_expression(scalar.text)
                if expression and expression.kind == "parent.outputs":
                    items.setdefault(expression.name, YamlScalar(None, "", scalar.position))
        node = self.values.node
        declared = YamlMap(items, node.position, outputs.node.key_positions if outputs else {})
        self.values = CheckedMap(
            replace(node, items={**node.items, "outputs": declared}), self.context.findings
        )

    def _is_job(self) -> bool:
        """Return whether the file is a job or a component. All others are findings."""
        node, findings = self.values.node, self.context.findings
        if "endpoint_name" in node.items:
            message = "the file is a deployment of an endpoint: allowed are jobs and components"
            findings.error(self.values.line("endpoint_name"), message)
            return False
        if self.kind == "automl":
            return True
        if self.kind not in JOB_KEYS:
            line = self.values.line("type")
            text = f"unknown type {self.kind!r}" if self.kind else "the file has no type and is no job"
            findings.error(line, f"{text}{allowed_words(self.kind, JOB_TYPES)}")
            return False
        schema = self.values.text("$schema").lower()
        is_component, is_job = "component" in schema, "job.schema" in schema
        allowed = (set() if is_component else JOB_KEYS[self.kind]) | (
            set() if is_job else COMPONENT_KEYS[self.kind]
        )
        self.values.check_keys(allowed, f"a {self.kind} file")
        return True

    def _is_pipeline(self) -> bool:
        kind = self.component.kind if self.component else self.kind
        return kind == "pipeline"

    def _read(self) -> Mapping[str, BoundValue]:
        """Read the steps. Return the inputs of the pipeline."""
        declared = self.component.inputs if self.component else read_declarations(self.values)
        inputs = self._inputs(declared)
        types = {key: output.type for key, output in self._declared_outputs().items()}
        if self.component and not self.component.skip_reason and self._is_pipeline():
            jobs = jobs_of(self.component.values)
            open_nested(self.component, PipelineScope("", inputs.bound, types, jobs), self.context)
        elif self.component is None and self._is_pipeline():
            scope = PipelineScope("", inputs.bound, types, jobs_of(self.values))
            build_pipeline(self.values, scope, self.context)
        else:
            self._read_single(inputs)
        return inputs.bound

    def _read_single(self, inputs: StepInputs) -> None:
        scope = PipelineScope(is_pipeline=False)
        check_references(self.values.node, scope, self.context)
        values = self.values
        if self.component:  # the type of the file is pipeline, and that of its component is not
            items = {key: node for key, node in values.node.items.items() if key not in {"type", "component"}}
            node = replace(values.node, items=items)
            values = CheckedMap(node, self.context.findings)
        name = "".join(c if c.isalnum() or c in "_-" else "_" for c in self.path.stem) or "step"
        source = StepSource(name, values, self.component, scope, self.context, SourceLine(self.path, 1))
        build_step(source, inputs)

    def _declared_outputs(self) -> dict[str, OutputDeclaration]:
        outputs = read_outputs(self.values)
        return {**self.component.outputs, **outputs} if self.component else outputs

    def _inputs(self, declared: dict[str, InputDeclaration]) -> StepInputs:
        """Return the inputs of the file with the given ones in their place."""
        findings, whole = self.context.findings, SourceLine(self.path, 1)
        given: dict[str, BoundValue] = {}
        is_open = self.component is not None and bool(self.component.skip_reason)
        for name, text in self.given.items():
            line = SourceLine(Path(f"--input {name}={text}"), 0)
            if name not in declared:
                end = allowed_words(name, declared, "declared")
                findings.error(line, f"the file has no input {name!r}{end}")
                continue
            value = command_line_value(text, declared[name], line, findings)
            value = replace(value, position=line) if isinstance(value, LocalData) else value
            given[name] = BoundValue(value, Path(), value is None)
        step = self.values if self.component else CheckedMap(YamlMap({}, whole), findings)
        rest = None if is_open else {key: value for key, value in declared.items() if key not in given}
        result = read_inputs(step, rest, PipelineScope(), self.context, whole, tuple(given))
        result.bound.update(given)
        result.names.update(declared)
        return result

    def _outputs(self) -> dict[str, StepOutput]:
        """Return the outputs of the pipeline with the types of the steps' outputs."""
        types = {step.name: step.outputs for step in self.context.steps}
        outputs = {}
        for (group, name), target in self.context.outputs.items():
            final = final_output(target, self.context) if group == "" else None
            if final is not None and final.output in types.get(final.step, {}):
                outputs[name] = replace(final, type=types[final.step][final.output].type)
        return outputs
