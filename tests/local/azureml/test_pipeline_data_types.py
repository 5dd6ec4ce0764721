"""The types of data of the pipeline service. azureml-pipeline-core reads them in guests/heavy."""

from __future__ import annotations

from amllog.local.azureml.pipeline_data_types import data_types


def test_the_types_that_the_sdk_requires() -> None:
    """Each type has the name as its id, and one is a folder."""
    types = data_types()
    assert len({entry["Id"] for entry in types}) == 11
    assert [entry["Name"] for entry in types if entry["IsDirectory"]] == ["AnyDirectory"]
