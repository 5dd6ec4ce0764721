"""The key `environment` of a step: a name, an inline environment, or a file."""

from __future__ import annotations

from amllog.local.definition.addresses import local_path
from amllog.local.definition.checked_map import CheckedMap, absolute
from amllog.local.definition.format_keys import ENVIRONMENT_KEYS
from amllog.local.definition.yaml_nodes import YamlMap, YamlScalar, plain, read_yaml
from amllog.local.plan.planned_steps import EnvironmentReference


def read_environment(owner: CheckedMap) -> EnvironmentReference | None:
    """Return the environment of a step or component, or None without one."""
    node = owner.node.get("environment")
    if node is None:
        return None
    position = owner.line("environment")
    if isinstance(node, YamlMap):
        values = owner.map("environment")
        return _inline(values, owner) if values else None
    name = owner.text("environment").strip()
    is_file = name.startswith("file:") or name.endswith((".yml", ".yaml"))
    path = local_path(name, owner.folder) if is_file else None
    if path is not None:
        document = read_yaml(path)
        if document.findings and document.findings[0].position.line == 0:  # it is missing or unreadable
            owner.findings.error(position, f"environment: {path}: {document.findings[0].message}")
        else:
            owner.findings.add(document.findings)
        if isinstance(document.root, YamlMap):
            return _inline(CheckedMap(document.root, owner.findings), owner)
        return EnvironmentReference(position=position)
    if not name.startswith(("azureml:", "/")) and "${" not in name:
        message = f"azure-ai-ml rejects the environment {name!r}: write 'azureml:{name}'"
        owner.findings.warning(position, message)
    return EnvironmentReference(name, position=position)


def _inline(values: CheckedMap, owner: CheckedMap) -> EnvironmentReference:
    values.check_keys(ENVIRONMENT_KEYS, "an environment")
    position = owner.line("environment")
    name, version, image = values.text("name"), values.text("version"), values.text("image")
    conda = values.node.get("conda_file")
    build = values.map("build")
    if isinstance(conda, YamlScalar):
        return EnvironmentReference("", image, absolute(values.folder, values.text("conda_file")), position)
    if isinstance(conda, YamlMap):
        return EnvironmentReference("", image, plain(conda), position)
    if not image and build is None and name:
        return EnvironmentReference(
            f"azureml:{name}:{version}" if version else f"azureml:{name}", position=position
        )
    return EnvironmentReference(
        "", image or (f"build {build.text('path', '.')}" if build else ""), None, position
    )
