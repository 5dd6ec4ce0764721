"""The keys of a step: its own, and those of its component below."""

from __future__ import annotations

import os.path
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amllog.local.definition.addresses import local_path
from amllog.local.definition.checked_map import CheckedMap, absolute, shown
from amllog.local.definition.command_texts import check_command, normalized, required_names
from amllog.local.definition.definition_context import DefinitionContext
from amllog.local.definition.environment_keys import read_environment
from amllog.local.definition.finding_list import allowed_words
from amllog.local.definition.format_expressions import FormatExpression, replace_expressions
from amllog.local.definition.format_keys import (
    DISTRIBUTION_KEYS,
    LIMIT_KEYS,
    RESOURCE_KEYS,
    RETRY_KEYS,
)
from amllog.local.definition.input_values import StepInputs
from amllog.local.definition.output_declarations import OutputDeclaration
from amllog.local.definition.pipeline_scope import PipelineScope
from amllog.local.definition.yaml_nodes import YamlList, YamlScalar
from amllog.local.plan.planned_steps import (
    Distribution,
    EnvironmentReference,
    LiteralValue,
    PlannedOutput,
    SourceLine,
    StepOutput,
)


@dataclass
class StepLayers:
    """A step with the keys of its layers. The first layer that has a key wins."""

    name: str  # in the plan
    position: SourceLine
    layers: tuple[CheckedMap, ...]
    inputs: StepInputs
    outputs: dict[str, OutputDeclaration]
    scope: PipelineScope
    context: DefinitionContext
    search_space: tuple[str, ...] = ()
    skip_reasons: list[str] = field(default_factory=list)
    key_positions: dict[str, SourceLine] = field(default_factory=dict)  # for the checks of the plan

    def owner(self, key: str) -> CheckedMap:
        """Return the layer that has a key, or the last one."""
        return next((layer for layer in self.layers if layer.node.get(key) is not None), self.layers[-1])

    def note_line(self, key: str, owner: CheckedMap) -> None:
        """Remember the line of a key that the checks of the plan name."""
        if owner.node.get(key) is not None:
            self.key_positions[key] = owner.line(key)

    def command(self, key: str, owner: CheckedMap | None = None) -> str:
        """Return a command after its check."""
        owner = owner or self.owner(key)
        self.note_line(key, owner)
        node = owner.node.get(key)
        if not isinstance(node, YamlScalar):
            return owner.text(key)
        names = {"inputs": self.inputs.names, "outputs": self.outputs}
        if self.search_space:
            names["search_space"] = self.search_space
        variables = {*self.environment_variables(), *self.outputs, *self.inputs.names}
        check_command(node, self.context.lines(node.position), names, variables, self.context.findings)
        text = normalized(node.text, self.search_space)
        for name in sorted(required_names(text) & self.inputs.absent):
            message = f"the optional input {name!r} has no value, and the command uses it outside of $[[ ]]"
            self.context.findings.error(node.position, message)
        return text

    def code(self, owner: CheckedMap | None = None) -> Path | None:
        """Return the folder or file of the code. Code that is not on this machine is a reason to skip the step."""
        owner = owner or self.owner("code")
        self.note_line("code", owner)
        text = owner.text("code").strip()
        if not text:
            return None
        path = None if text.startswith("git+") else local_path(text, owner.folder)
        if path is None:
            self.skip_reasons.append(f"its code {text} is not on this machine")
        return path

    def includes(self) -> tuple[Path, ...]:
        """Return the files and folders of `additional_includes`. Those of another place are a reason to skip."""
        owner = self.owner("additional_includes")
        node = owner.node.get("additional_includes")
        if node is not None and not isinstance(node, YamlList):
            message = f"additional_includes = {shown(node)}: allowed is a list of paths"
            self.context.findings.error(owner.line("additional_includes"), message)
        paths = []
        for item in node.items if isinstance(node, YamlList) else ():
            if not isinstance(item, YamlScalar):  # an artifact of a git repository or of Azure DevOps
                self.skip_reasons.append("its additional_includes are not on this machine")
                continue
            path = absolute(owner.folder, item.text)
            if not os.path.exists(path):
                self.context.findings.error(item.position, f"additional_includes: {path} does not exist")
            paths.append(path)
        return tuple(paths)

    def environment(self, owner: CheckedMap | None = None) -> EnvironmentReference | None:
        """Return the environment."""
        return read_environment(owner or self.owner("environment"))

    def environment_variables(self) -> dict[str, str]:
        """Return the environment variables of all layers, with the literals of the inputs."""

        def literal(expression: FormatExpression) -> str | None:
            value = self.inputs.values.get(expression.name) if expression.kind == "inputs" else None
            return str(value.value) if isinstance(value, LiteralValue) else None

        merged: dict[str, str] = {}
        for layer in reversed(self.layers):
            merged.update(layer.mapping("environment_variables"))
        return {name: replace_expressions(value, literal) for name, value in merged.items()}

    def planned_outputs(self) -> dict[str, PlannedOutput]:
        """Return the outputs. The type can be that of the output of the pipeline."""
        planned = {}
        for name, output in self.outputs.items():
            if output.bound_to in self.scope.output_types:
                target = StepOutput(self.name, name, "")
                self.context.bind_output(self.scope.group, output.bound_to, target, output.position)
            kind = output.type or self.scope.output_types.get(output.bound_to) or "uri_folder"
            planned[name] = PlannedOutput(kind, output.path)
        return planned

    def limits(self, kind: str) -> CheckedMap | None:
        """Return the key `limits` of a step of the type `kind`: command or sweep."""
        limits = self.owner("limits").map("limits")
        if limits:
            limits.check_keys(LIMIT_KEYS[kind], "limits")
        return limits

    def retries(self) -> tuple[int | None, float | None]:
        """Return the keys of `retry_settings`: retries and timeout."""
        settings = self.owner("retry_settings").map("retry_settings")
        if not settings:
            return None, None
        settings.check_keys(RETRY_KEYS, "retry_settings")
        return settings.integer("max_retries"), settings.number("timeout")

    def instance_count(self) -> int:
        """Return the number of nodes."""
        resources = self.owner("resources").map("resources")
        if not resources:
            return 1
        resources.check_keys(RESOURCE_KEYS, "resources")
        return resources.integer("instance_count", 1) or 1

    def _check_unused(self) -> None:
        """Report keys with values of another type. They have no effect on this machine."""
        self.instance_count()
        for layer in self.layers:
            layer.text("compute")
            for key in ("tags", "properties", "services"):
                layer.map(key)

    def distribution(self) -> Distribution | None:
        """Return the distribution. `ray` is a reason to skip the step."""
        values = self.owner("distribution").map("distribution")
        if values is None:
            return None
        kind = values.text("type").lower()
        if kind == "ray":
            self.skip_reasons.append("its distribution is ray")
            return None
        if kind not in DISTRIBUTION_KEYS:
            end = allowed_words(kind, DISTRIBUTION_KEYS)
            self.context.findings.error(values.line("type"), f"unknown distribution {kind!r}{end}")
            return None
        values.check_keys(DISTRIBUTION_KEYS[kind], f"the distribution {kind}")
        key = "worker_count" if kind == "tensorflow" else "process_count_per_instance"
        count = values.integer(key, 1) or (self.instance_count() if kind == "tensorflow" else 1)
        servers = (values.integer("parameter_server_count") or 0) if kind == "tensorflow" else 0
        return Distribution(kind, count, self.instance_count(), servers)

    def common(self) -> dict[str, Any]:
        """Return the fields that all kinds of steps have."""
        self._check_unused()
        is_deterministic = self.layers[-1].boolean("is_deterministic", True)
        return {
            "name": self.name,
            "position": self.position,
            "group": self.scope.group,
            "display_name": self.layers[0].text("display_name"),
            "inputs": self.inputs.values,
            "outputs": self.planned_outputs(),
            "code_includes": self.includes(),
            "environment_variables": self.environment_variables(),
            "is_reuse_allowed": is_deterministic and self.context.is_reuse_allowed,
            "input_positions": self.inputs.positions,
            "key_positions": self.key_positions,
        }
