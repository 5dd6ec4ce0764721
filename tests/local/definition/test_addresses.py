"""Tests of addresses of data."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.local.definition.addresses import data_value, local_path
from amllog.local.plan.planned_steps import LocalData, NamedData, SourceLine

LINE = SourceLine(Path("p.yml"), 1)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("./data", "/base/data"), ("../data/", "/data"), ("data/a.csv", "/base/data/a.csv"), ("/abs", "/abs"),
        ("azureml:./data", "/base/data"), ("azureml:/abs", "/abs"), ("file:./a", "/base/a"),
        ("file:///abs/a%20b", "/abs/a b"), (".", "/base"), ("", "/base"),
    ],
)  # fmt: skip
def test_local_addresses(address: str, expected: str) -> None:
    """Paths are relative to the folder of the file. azure-ai-ml's dumps of local paths are paths."""
    assert local_path(address, Path("/base")) == Path(expected)


def test_dumped_addresses(tmp_path: Path) -> None:
    """azure-ai-ml puts `azureml:` before addresses of other services."""
    assert data_value("azureml:https://a/b", "uri_file", tmp_path, LINE) == NamedData(
        "https://a/b", "uri_file", LINE
    )


@pytest.mark.parametrize(
    "address",
    [
        "azureml:name:1", "azureml:name@latest", "azureml://datastores/x/paths/y", "https://a/b.csv",
        "wasbs://c@a.blob.core.windows.net/x", "abfss://c@a.dfs.core.windows.net/x", "azureml:/subscriptions/x",
    ],
)  # fmt: skip
def test_other_addresses_need_a_map(address: str) -> None:
    """All other addresses stay references with their position."""
    assert data_value(address, "", Path("/base"), LINE) == NamedData(address, "uri_folder", LINE)


def test_a_file_without_a_type_is_a_file(tmp_path: Path) -> None:
    """Without a type, an existing file is a uri_file. A path that cannot exist does not raise."""
    (tmp_path / "a.csv").touch()
    assert data_value("a.csv", "", tmp_path, LINE) == LocalData(tmp_path / "a.csv", "uri_file")
    assert data_value("b", "", tmp_path, LINE) == LocalData(tmp_path / "b", "uri_folder")
    assert data_value("a" * 5000, "", tmp_path, LINE).type == "uri_folder"
    assert data_value("a\x00", "", tmp_path, LINE).type == "uri_folder"
