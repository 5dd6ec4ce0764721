"""The declared outputs of a component, pipeline, job or step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from amllog.local.definition.addresses import local_path
from amllog.local.definition.checked_map import CheckedMap, shown
from amllog.local.definition.finding_list import FindingList, allowed_words
from amllog.local.definition.format_expressions import expressions, single_expression
from amllog.local.definition.format_keys import DATA_TYPES, LITERAL_TYPES, OUTPUT_KEYS, OUTPUT_MODES
from amllog.local.definition.yaml_nodes import YamlList, YamlMap, YamlNode, YamlScalar
from amllog.local.plan.planned_steps import SourceLine


@dataclass(frozen=True)
class OutputDeclaration:
    """An output. `type` is "" without a type. `bound_to` is the output of the pipeline that it becomes."""

    name: str
    position: SourceLine
    type: str = ""
    path: Path | None = None  # a path of this machine
    bound_to: str = ""


def read_outputs(owner: CheckedMap) -> dict[str, OutputDeclaration]:
    """Return the outputs: null, a mapping, or `${{parent.outputs.x}}`."""
    outputs = owner.map("outputs")
    if outputs is None:
        return {}
    return {
        name: _output(outputs, name, node, outputs.line(name)) for name, node in outputs.node.items.items()
    }


def _output(outputs: CheckedMap, name: str, node: YamlNode, position: SourceLine) -> OutputDeclaration:
    if isinstance(node, YamlScalar):
        if node.value is None:
            return OutputDeclaration(name, position)
        return _bound(name, node, "", outputs.findings)
    if isinstance(node, YamlList):
        outputs.findings.error(position, f"outputs.{name} is a list: allowed is a mapping")
        return OutputDeclaration(name, position)
    return _mapping(name, node, position, outputs.findings)


def _mapping(name: str, node: YamlMap, position: SourceLine, findings: FindingList) -> OutputDeclaration:
    values = CheckedMap(node, findings)
    values.check_keys(OUTPUT_KEYS, "an output")
    values.word("mode", OUTPUT_MODES)
    node = values.node
    kind = values.text("type")
    if kind and kind not in (*LITERAL_TYPES, *DATA_TYPES):
        end = allowed_words(kind, (*DATA_TYPES, *LITERAL_TYPES))
        findings.error(values.line("type"), f"unknown type {kind!r}{end}")
        kind = ""
    kind = {"path": "uri_folder"}.get(kind, "uri_file" if kind in LITERAL_TYPES else kind)
    path = node.get("path")
    if not isinstance(path, YamlScalar):
        return OutputDeclaration(name, position, kind)
    if single_expression(path.text) and "parent." in path.text:
        return _bound(name, path, kind, findings)
    if expressions(path.text):  # such as azureml://datastores/${{default_datastore}}/paths/${{name}}
        return OutputDeclaration(name, position, kind)
    return OutputDeclaration(name, position, kind, local_path(path.text, values.folder))


def _bound(name: str, node: YamlScalar, kind: str, findings: FindingList) -> OutputDeclaration:
    expression = single_expression(node.text)
    if expression is None or expression.kind != "parent.outputs":
        message = f"output {name} = {shown(node)}: allowed is a mapping or '${{{{parent.outputs.NAME}}}}'"
        if expression is None or not findings.has_error(node.position):  # that of the expression
            findings.error(node.position, message)
        return OutputDeclaration(name, node.position, kind)
    return OutputDeclaration(name, node.position, kind, None, expression.name)
