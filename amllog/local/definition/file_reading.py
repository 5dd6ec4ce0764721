"""Entry of the definition: a file of Azure ML's format as a planned pipeline, with findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amllog.local.definition.yaml_nodes import read_yaml
from amllog.local.plan.planned_steps import Finding, PlannedPipeline


@dataclass(frozen=True)
class DefinitionResult:
    """The planned pipeline, or None if there is an error. `findings` are in file order."""

    pipeline: PlannedPipeline | None
    findings: list[Finding]


def read_file(
    path: Path, inputs: Mapping[str, str], components: Mapping[str, Path] | None = None
) -> DefinitionResult:
    """Read a pipeline, job or component file.

    `inputs` are values of `--input name=value`. `components` maps registered components to files. Data and
    environments stay references.
    """
    document = read_yaml(path)
    return DefinitionResult(None, list(document.findings))
