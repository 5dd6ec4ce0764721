"""Everything that one local Azure stores: envelopes, runs, metrics, artifacts and models, in one directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amllog.local.azureml.artifacts import Artifact, ArtifactStore
from amllog.local.azureml.metrics import MetricStore
from amllog.local.azureml.runs import RunStore
from amllog.local.mlflow.model_store import ModelStore
from amllog.local.storage import JsonLinesFile, make_private_directory, new_file_name, prepare_directory


class StoredData:
    """The stores, open until `close()`. What they know can still be read afterwards."""

    def __init__(self, directory: Path, *, strict: bool) -> None:
        received = directory / "received"
        prepare_directory(directory)
        make_private_directory(received)
        self.received = JsonLinesFile(received / f"{new_file_name()}.jsonl")
        self.runs, self.artifacts = RunStore(directory), ArtifactStore(directory)
        self.metrics = MetricStore(directory, strict=strict)
        self.models = ModelStore(directory)

    def close(self) -> None:
        """Close the files."""
        for part in (self.received, self.runs, self.metrics, self.artifacts, self.models):
            part.close()

    def values(self, run_id: str, name: str) -> list[Any]:
        """Return the values of a metric: numbers for scalars and lists, dictionaries for rows and tables."""
        rows = (self.metrics.merged(run_id, name) or {"value": []})["value"]
        return [row["data"][name] if list(row["data"]) == [name] else row["data"] for row in rows]

    def artifacts_of(self, run_id: str) -> dict[str, Artifact]:
        """Return the artifacts of a run by name."""
        container = self.runs.get(run_id)["dataContainerId"]
        artifacts = self.artifacts.list_container("ExperimentRun", container)
        return {artifact.path: artifact for artifact in artifacts}
