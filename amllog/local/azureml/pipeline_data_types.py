"""The types of data of the pipeline service.

azureml-pipeline-core reads them when a script reads `run.parent`, and creates those that are missing. All are there, so
that nothing has to be created.
"""

from __future__ import annotations

from typing import Any

_FILES = (
    "AnyFile", "AzureBlobReference", "AzureDataLakeReference", "AzureFilesReference", "AzureSqlDatabaseReference",
    "AzurePostgresDatabaseReference", "AzureDataLakeGen2Reference", "AzureMLDataset", "AzureMySqlDatabaseReference",
    "DBFSReference",
)  # fmt: skip
_DIRECTORY = "AnyDirectory"


def data_types() -> list[dict[str, Any]]:
    """Return all types in the form of the service."""
    return [
        {
            "Id": name,
            "Name": name,
            "Description": name,
            "IsDirectory": name == _DIRECTORY,
            "ParentDataTypeIds": [],
        }
        for name in (*_FILES, _DIRECTORY)
    ]
