"""Create and read artifacts, and metrics as azureml posts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from ..conftest import Client

CONTAINER = "ExperimentRun/dcid.run_1"


def create_artifact(client: Client, path: str, container: str = CONTAINER) -> str:
    """Create an artifact and return the path and query of the address for its bytes."""
    made = client.artifact("POST", f"batch/metadata/{container}", {"paths": [{"path": path}]}).json
    address = urlsplit(made["artifactContentInformation"][path]["contentUri"])
    return f"{address.path}?{address.query}"


def read_artifact(client: Client, path: str) -> bytes:
    """Return the bytes of an artifact, by its address for reading."""
    address = urlsplit(client.artifact("GET", f"contentinfo/{CONTAINER}/{quote(path)}").json["contentUri"])
    return client("GET", f"{address.path}?{address.query}").body


def metric(name: str = "loss", *values: object, **columns: str) -> dict[str, Any]:
    """Return a metric in the format that azureml posts."""
    rows = [
        {"metricId": "i", "createdUtc": f"2026-11-22T00:00:0{i}Z", "data": {name: v}}
        for i, v in enumerate(values)
    ]
    return {"name": name, "columns": columns or {name: "double"}, "value": rows, "properties": {}}
