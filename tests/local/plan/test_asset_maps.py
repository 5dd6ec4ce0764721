"""Tests of the maps from options."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.plan.asset_maps import AssetMaps, option_maps
from amllog.local.plan.planned_steps import EnvironmentReference

HERE = Path("/project")


def test_paths_of_options() -> None:
    """Paths of options are relative to the directory of the command."""
    maps = option_maps({"a": "x/../y", "b": Path("/z")}, {}, HERE)
    assert [entry.path for entry in maps.data] == [HERE / "y", Path("/z")]


def test_an_option_precedes_the_file() -> None:
    """An option has precedence, also over a more specific entry of the file."""
    file = option_maps({"a:1": "file"}, {"e": "file"}, HERE)
    options = option_maps({"a": "option"}, {"e": "option"}, HERE)
    merged = AssetMaps(
        (*options.data, *(entry._replace(is_option=False) for entry in file.data)),
        (*options.environments, *(entry._replace(is_option=False) for entry in file.environments)),
    )
    fit = merged.data_path("azureml:a:1")
    entry = merged.environment(EnvironmentReference("azureml:e@latest"))
    assert (fit and fit[1], entry and entry.python) == (HERE / "option", "option")


@pytest.mark.parametrize(
    ("reference", "python"),
    [
        (EnvironmentReference("azureml:e@latest"), "by-name"),
        (EnvironmentReference("azureml:e:2"), "by-version"),
        (EnvironmentReference("azureml://registries/azureml/environments/e/versions/2"), "by-version"),
        (EnvironmentReference(image="mcr.microsoft.com/x:20.04"), "by-image"),
        (EnvironmentReference(image="other", conda_file=HERE / "env" / "conda.yml"), "by-conda-file"),
        (EnvironmentReference("azureml:f@latest"), "other"),
        (None, "other"),
    ],
)
def test_environments(reference: EnvironmentReference | None, python: str) -> None:
    """An environment fits by its name, its image or its conda file. The entry `*` is for all others."""
    entries = {
        "*": "other",
        "e": "by-name",
        "azureml:e:2": "by-version",
        "mcr.microsoft.com/x": "by-image",
        "env/conda.yml": "by-conda-file",
    }
    entry = option_maps({}, entries, HERE).environment(reference)
    assert entry is not None
    assert entry.python == python


def test_forms_of_environment_options() -> None:
    """The words `venv` and `current`, and a conda file, are no interpreters."""
    options = option_maps({}, {"a": "venv", "b": "current", "c": "env.yml", "d": "./venv"}, HERE)
    forms = [(entry.python, entry.is_built, entry.conda_file) for entry in options.environments]
    assert forms == [
        ("", True, None),
        ("", False, None),
        ("", True, HERE / "env.yml"),
        ("./venv", False, None),
    ]
