"""The maps from names to this machine: data to paths, environments to interpreters.

Entries come from options (`--data`, `--env`) and from the nearest `amllog.yml` above the pipeline file. Options have
precedence.

    data:
      credit-data: data/credit.csv                             # azureml:credit-data@latest, or any version
      azureml://datastores/workspaceblobstore/paths/: blobs    # the rest of an address is appended
    environments:
      train-env: .venv-train              # a virtual environment, a python, or a name on PATH
      score-env: {venv: true}             # built from the pip part of the environment's conda file
      eval-env: {conda_file: env/conda.yml, python: python3.10}  # built from this conda file
      "*": python3.11                     # all other environments
    components:
      prep: components/prep.yml           # azureml:prep@latest
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from amllog.config.user_path import expand_path
from amllog.local.plan.asset_references import fitting_key
from amllog.local.plan.planned_steps import EnvironmentReference, SourceLine

EVERY = "*"
CURRENT = "current"  # the interpreter that runs amllog
VENV = "venv"  # the value of --env that builds a virtual environment


class DataEntry(NamedTuple):
    """A local path for data. `position` is the line of the map file, or the option."""

    key: str
    path: Path
    position: SourceLine
    is_option: bool = False


class EnvironmentEntry(NamedTuple):
    """An interpreter for an environment.

    `python` is a folder, a file or a name on PATH, relative to `base`, or "" for the current interpreter. With
    `is_built`, a virtual environment is built with it, from `conda_file` or from that of the environment.
    """

    key: str
    python: str
    base: Path
    position: SourceLine
    is_built: bool = False
    conda_file: Path | None = None
    is_option: bool = False

    def is_path(self, file: Path) -> bool:
        """Return whether the key is the path of a file, relative to the map."""
        return os.path.normpath(self.base / self.key) == os.path.normpath(file)


@dataclass(frozen=True)
class AssetMaps:
    """All entries. `file` is the map file, or the place where it should be created."""

    data: tuple[DataEntry, ...] = ()
    environments: tuple[EnvironmentEntry, ...] = ()
    components: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    file: Path = Path("amllog.yml")

    def data_path(self, reference: str) -> tuple[DataEntry, Path] | None:
        """Return the entry for a reference and the local path, or None if there is no entry."""
        for is_option in (True, False):
            entries = {entry.key: entry for entry in self.data if entry.is_option is is_option}
            fit = fitting_key(reference, entries)
            if fit is not None:
                entry = entries[fit.key]
                return entry, entry.path / fit.rest if fit.rest else entry.path
        return None

    def environment(self, reference: EnvironmentReference | None) -> EnvironmentEntry | None:
        """Return the entry for an environment: by its name, its image or its conda file, otherwise the entry `*`."""
        for is_option in (True, False):
            entry = _specific(
                [entry for entry in self.environments if entry.is_option is is_option], reference
            )
            if entry is not None:
                return entry
        return next((entry for entry in self.environments if entry.key == EVERY), None)


def _specific(
    entries: Sequence[EnvironmentEntry], reference: EnvironmentReference | None
) -> EnvironmentEntry | None:
    """Return the entry whose key is the name, the image or the conda file of the environment."""
    if reference is None:
        return None
    by_key = {entry.key: entry for entry in entries if entry.key != EVERY}
    for text in (reference.name, reference.image):
        fit = fitting_key(text, by_key) if text else None
        if fit is not None:
            return by_key[fit.key]
    conda = reference.conda_file
    return next((e for e in by_key.values() if isinstance(conda, Path) and e.is_path(conda)), None)


def option_maps(
    data: Mapping[str, str | PathLike[str]], environments: Mapping[str, str | PathLike[str]], directory: Path
) -> AssetMaps:
    """Return the entries of options. Paths are relative to `directory`."""
    return AssetMaps(
        tuple(
            DataEntry(
                key,
                Path(os.path.normpath(directory / expand_path(value))),
                _option("--data", key, value),
                True,
            )
            for key, value in data.items()
        ),
        tuple(_environment_option(key, os.fspath(value), directory) for key, value in environments.items()),
        file=directory / "amllog.yml",
    )


def _option(option: str, key: str, value: str | PathLike[str]) -> SourceLine:
    return SourceLine(Path(f"{option} {key}={os.fspath(value)}"), 0)


def _environment_option(key: str, value: str, directory: Path) -> EnvironmentEntry:
    """Return the entry of `--env name=value`: an interpreter, `current`, `venv`, or a conda file."""
    conda_file = directory / expand_path(value) if value.endswith((".yml", ".yaml")) else None
    is_built = value == VENV or conda_file is not None
    return EnvironmentEntry(
        key,
        "" if is_built or value == CURRENT else value,
        directory,
        _option("--env", key, value),
        is_built,
        conda_file,
        is_option=True,
    )
