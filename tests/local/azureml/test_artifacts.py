"""The names and containers of artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import CONTAINER, create_artifact, read_artifact  # isort: skip

if TYPE_CHECKING:
    from amllog.local import AzureOnThisMachine

    from ..conftest import Client


@pytest.mark.parametrize("path", ["a.txt", "/abs/file", "outputs/ä b%20.txt", "a//b", "x" * 5000, "C:\\x"])
def test_any_name_is_accepted(azure: AzureOnThisMachine, client: Client, run: str, path: str) -> None:
    """A name is stored unchanged, and the file is directly in the directory of artifacts."""
    assert client("PUT", create_artifact(client, path), b"bytes").status == 201
    assert read_artifact(client, path) == b"bytes"
    artifact = azure.artifacts(run)[path]
    assert (artifact.size_bytes, artifact.file.read_bytes()) == (5, b"bytes")
    assert artifact.file.parent == azure.directory / "artifacts"


@pytest.mark.parametrize("path", ["", "../x", "a/../../x", "..\\x", "..", "a\x00b", "a\nb", "x" * 5001])
def test_unsafe_names_are_rejected(azure: AzureOnThisMachine, client: Client, run: str, path: str) -> None:
    """A name that a client could download to a path outside of its directory is rejected."""
    reply = client.artifact(
        "POST", f"batch/metadata/{CONTAINER}", {"paths": [{"path": path}, {"path": "good"}]}
    )
    assert list(reply.json["errors"]) == [path]
    assert list(azure.artifacts(run)) == ["good"]


@pytest.mark.parametrize("container", ["..%2F..%2Fx", "%2Fetc", "..", "." * 300])
def test_containers_belong_to_runs(
    azure: AzureOnThisMachine, client: Client, run: str, container: str
) -> None:
    """A container that does not belong to a run is rejected, and its name does not become part of a path."""
    before = {path.name for path in azure.directory.parent.iterdir()}
    body = {"paths": [{"path": "x"}]}
    assert client.artifact("POST", f"batch/metadata/ExperimentRun/{container}", body).status == 403
    assert client.artifact("POST", f"batch/metadata/Other/dcid.{run}", body).status == 403
    assert list((azure.directory / "artifacts").iterdir()) == []
    assert {path.name for path in azure.directory.parent.iterdir()} == before


def test_an_artifact_is_written_once(client: Client, run: str) -> None:
    """A second upload of the same name is the resource conflict of the service."""
    address = create_artifact(client, "x")
    # Without bytes, an upload may be repeated.
    assert create_artifact(client, "x").partition("?")[0] == address.partition("?")[0]
    assert client("PUT", address, b"1", If_None_Match="*").status == 201
    assert client("PUT", address, b"2", If_None_Match="*").status == 409
    errors = client.artifact("POST", f"batch/metadata/{CONTAINER}", {"paths": [{"path": "x"}]}).json["errors"]
    assert "Resource Conflict" in errors["x"]["error"]["message"]
    assert read_artifact(client, "x") == b"1"
