"""Components: local files, inline mappings, and those that are not on this machine."""

from __future__ import annotations

import difflib
import os.path
from dataclasses import dataclass
from pathlib import Path

from amllog.local.definition.addresses import local_path
from amllog.local.definition.checked_map import CheckedMap, shown
from amllog.local.definition.definition_context import DefinitionContext
from amllog.local.definition.format_keys import COMPONENT_KEYS, JOB_KEYS
from amllog.local.definition.input_declarations import InputDeclaration, read_declarations
from amllog.local.definition.output_declarations import OutputDeclaration, read_outputs
from amllog.local.definition.yaml_nodes import YamlMap, YamlNode, YamlScalar
from amllog.local.plan.asset_references import fitting_key

_KIND_OF_KEY = {
    "jobs": "pipeline", "trial": "sweep", "task": "parallel", "entry": "spark", "command": "command",
    "nodes": "flow", "flow": "flow",
}  # fmt: skip


@dataclass(frozen=True)
class ComponentDefinition:
    """A component. One that is not on this machine has a `skip_reason` and no values."""

    kind: str
    values: CheckedMap
    inputs: dict[str, InputDeclaration]
    outputs: dict[str, OutputDeclaration]
    skip_reason: str = ""


def body_kind(node: YamlMap) -> str:
    """Return the type of a job or component: its key `type`, its schema, or the key that only one type has."""
    kind = node.get("type")
    if isinstance(kind, YamlScalar):
        return kind.text.strip()
    schema = node.get("$schema")
    name = schema.text.rpartition("/")[2].lower() if isinstance(schema, YamlScalar) else ""
    for kind_name in _KIND_OF_KEY.values():
        if name.startswith(kind_name):
            return kind_name
    return next((kind_name for key, kind_name in _KIND_OF_KEY.items() if key in node.items), "")


def find_component(
    owner: CheckedMap, key: str, context: DefinitionContext, default_kind: str = ""
) -> ComponentDefinition | None:
    """Return the component that a key names. A component that cannot be read is a finding, and None."""
    node = owner.node.get(key)
    if isinstance(node, YamlMap):
        return _component(node, context, default_kind, is_file=False)
    if not isinstance(node, YamlScalar):
        context.findings.error(owner.line(key), f"{key} = {shown(node)}: allowed is a file or a mapping")
        return None
    name = owner.text(key).strip()
    fit = fitting_key(name, context.components) if name.startswith("azureml:") else None
    path = context.components[fit.key] if fit else local_path(name, owner.folder)
    if path is None:
        place = "a registry" if "registries/" in name else "a workspace"
        reason = f"its component {name} is in {place}, and not on this machine"
        return ComponentDefinition("", owner, {}, {}, reason)
    return _file(node, path, _written(owner, name, path), context, default_kind)


def _written(owner: CheckedMap, name: str, path: Path) -> Path:
    """Return the path of a component's file as its findings show it: relative, if that of the pipeline is."""
    if owner.folder.is_absolute() or name.startswith(("/", "file:/")):
        return path
    return Path(os.path.relpath(path))


def _file(
    node: YamlNode, path: Path, written: Path, context: DefinitionContext, default_kind: str
) -> ComponentDefinition | None:
    if not os.path.isfile(path):  # Path.is_file() raises an error for a name that is too long
        try:
            places = [*path.parent.iterdir()] if path.parent.is_dir() else []
        except OSError:
            places = []
        referring = node.position.file.resolve()
        names = {
            place.stem: place.name
            for place in places
            if place.suffix in {".yml", ".yaml"} and place.resolve() != referring
        }
        near = difflib.get_close_matches(path.stem, names, n=1)
        end = f". Did you mean {names[near[0]]!r}?" if near else ""
        context.findings.error(node.position, f"the component file {path} does not exist{end}")
        return None
    document = context.document(written)
    if not isinstance(document.root, YamlMap):
        if not document.findings:
            context.findings.error(node.position, f"the component file {path} is not a mapping")
        return None
    return _component(document.root, context, default_kind, is_file=True)


def _component(
    node: YamlMap, context: DefinitionContext, default_kind: str, is_file: bool
) -> ComponentDefinition:
    values = CheckedMap(node, context.findings)
    kind = body_kind(node) or default_kind
    if kind == "flow":  # inputs and outputs have another format
        return ComponentDefinition(kind, values, {}, {})
    if kind in COMPONENT_KEYS:
        values.check_keys(
            COMPONENT_KEYS[kind] | (set() if is_file else JOB_KEYS[kind]), f"a {kind} component"
        )
    return ComponentDefinition(kind, values, read_declarations(values), read_outputs(values))
