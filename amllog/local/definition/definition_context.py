"""The state of one reading: files, findings, and the steps and references so far."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping
from pathlib import Path

from amllog.local.definition.finding_list import FindingList
from amllog.local.definition.format_expressions import placeholders
from amllog.local.definition.yaml_nodes import (
    YamlDocument,
    YamlMap,
    YamlNode,
    YamlScalar,
    read_yaml,
)
from amllog.local.plan.planned_steps import PlannedStep, SourceLine, StepOutput

MAX_STEPS = 2_000  # a pipeline of pipelines of pipelines … in few files
_COMMANDS = {"command", "program_arguments", "args"}  # a shell's own variables are allowed there
_UNUSED_HERE = {
    "description", "display_name", "tags", "properties", "compute", "default_compute", "experiment_name", "comment",
    "services", "identity",
}  # fmt: skip
_NAMES = {"path", "environment", "component", "code", "image", "conda_file", "entry_script", "trial"}


class DefinitionContext:
    """The files that were read, and what they define. Each file is read once."""

    def __init__(self, components: Mapping[str, Path]) -> None:
        self.findings = FindingList()
        self.components = components
        self.steps: list[PlannedStep] = []
        self.groups: list[str] = []
        self.outputs: dict[tuple[str, str], StepOutput] = {}  # of a group ("" is the pipeline) and name
        self.references: list[tuple[SourceLine, str, str]] = []  # position, step and output
        self.open_pipelines: list[YamlMap] = []  # the pipeline components around the current step
        self.group_outputs: dict[str, Mapping[str, str]] = {}  # the types of the outputs of each group
        self.is_reuse_allowed = True
        self._documents: dict[str, YamlDocument] = {}

    def document(self, path: Path) -> YamlDocument:
        """Return a file as nodes. Its own findings are added at the first call."""
        key = os.path.abspath(path)
        if key not in self._documents:
            self.findings.begin_file(path)
            document = self._documents[key] = read_yaml(path)
            self.findings.add(document.findings)
            self._check_placeholders(document.root)
        return self._documents[key]

    def lines(self, position: SourceLine) -> tuple[str, ...]:
        """Return the lines of the file of a position."""
        return self.document(position.file).lines

    def allow_reuse(self, is_allowed: bool) -> None:
        """Set whether steps may be reused, as the settings of the pipeline have it."""
        self.is_reuse_allowed = is_allowed

    def add_step(self, step: PlannedStep) -> None:
        """Add a step to the plan."""
        if not self.is_full(step.position):
            self.steps.append(step)

    def is_full(self, position: SourceLine) -> bool:
        """Return whether the plan has all the steps and nested pipelines that it can have. That is a finding."""
        is_full = len(self.steps) + len(self.groups) >= MAX_STEPS
        if is_full:
            self.findings.error(position, f"the pipeline has more than {MAX_STEPS:,} steps")
        return is_full

    def declare_outputs(self, group: str, types: Mapping[str, str]) -> None:
        """Remember the outputs of a nested pipeline, with their types."""
        self.group_outputs[group] = types

    def bind_output(self, group: str, name: str, target: StepOutput, position: SourceLine) -> None:
        """Bind an output of a pipeline to that of a step. A second binding is a finding."""
        other = self.outputs.setdefault((group, name), target)
        if other != target:
            message = (
                f"the output {name!r} of the pipeline is bound to two steps: {other.step} and {target.step}"
            )
            self.findings.error(position, message)

    def _check_placeholders(self, root: YamlNode | None) -> None:
        for keys, scalar in _values(root, ()):
            if not keys or keys[-1] in _COMMANDS or not isinstance(scalar.value, str):
                continue
            for text, _ in placeholders(scalar.text):
                if text.startswith("{{") and not _NAMES & set(keys):
                    continue  # a prompt of a model
                message = f"the placeholder {text} of a template is not replaced"
                if _UNUSED_HERE & set(keys):
                    self.findings.warning(scalar.position, message)
                else:
                    self.findings.error(scalar.position, message)


def _values(node: YamlNode | None, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], YamlScalar]]:
    """Yield all scalars with the keys above them."""
    if isinstance(node, YamlScalar):
        yield keys, node
    elif isinstance(node, YamlMap):
        for key, value in node.items.items():
            yield from _values(value, (*keys, key))
    elif node is not None:
        for item in node.items:
            yield from _values(item, keys)
