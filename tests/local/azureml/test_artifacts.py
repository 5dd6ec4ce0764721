"""Artifacts: names, addresses, bytes in one piece and in blocks."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from amllog.local import AzureOnThisMachine

    from ..conftest import Client

CONTAINER = "ExperimentRun/dcid.run_1"


def create(client: Client, path: str, container: str = CONTAINER) -> str:
    """Make an artifact; the path and query of the address for its bytes."""
    made = client.artifact("POST", f"batch/metadata/{container}", {"paths": [{"path": path}]}).json
    address = urlsplit(made["artifactContentInformation"][path]["contentUri"])
    return f"{address.path}?{address.query}"


def content(client: Client, path: str) -> bytes:
    """An artifact's bytes, by the address for reading."""
    address = urlsplit(client.artifact("GET", f"contentinfo/{CONTAINER}/{quote(path)}").json["contentUri"])
    return client("GET", f"{address.path}?{address.query}").body


@pytest.mark.parametrize("path", ["a.txt", "/abs/file", "outputs/ä b%20.txt", "a//b", "x" * 5000, "C:\\x"])
def test_a_name_is_only_a_name(azure: AzureOnThisMachine, client: Client, run: str, path: str) -> None:
    """Any name is taken as it is, and its file is where all files are."""
    assert client("PUT", create(client, path), b"bytes").status == 201
    assert content(client, path) == b"bytes"
    artifact = azure.artifacts(run)[path]
    assert (artifact.size_bytes, artifact.file.read_bytes()) == (5, b"bytes")
    assert artifact.file.parent == azure.directory / "artifacts"


@pytest.mark.parametrize("path", ["", "../x", "a/../../x", "..\\x", "..", "a\x00b", "a\nb", "x" * 5001])
def test_names_that_lead_astray_are_refused(
    azure: AzureOnThisMachine, client: Client, run: str, path: str
) -> None:
    """A client that downloads by name must not be led out of its folder either."""
    reply = client.artifact(
        "POST", f"batch/metadata/{CONTAINER}", {"paths": [{"path": path}, {"path": "good"}]}
    )
    assert list(reply.json["errors"]) == [path]
    assert list(azure.artifacts(run)) == ["good"]


@pytest.mark.parametrize("container", ["..%2F..%2Fx", "%2Fetc", "..", "." * 300])
def test_containers_are_those_of_runs(
    azure: AzureOnThisMachine, client: Client, run: str, container: str
) -> None:
    """A container that is not a run's is rejected, and nothing of its name becomes part of a path here."""
    before = {path.name for path in azure.directory.parent.iterdir()}
    body = {"paths": [{"path": "x"}]}
    assert client.artifact("POST", f"batch/metadata/ExperimentRun/{container}", body).status == 403
    assert client.artifact("POST", f"batch/metadata/Other/dcid.{run}", body).status == 403
    assert list((azure.directory / "artifacts").iterdir()) == []
    assert {path.name for path in azure.directory.parent.iterdir()} == before


def test_an_artifact_is_written_once(client: Client, run: str) -> None:
    """A second upload of the same name is the service's resource conflict."""
    address = create(client, "x")
    assert (
        create(client, "x").partition("?")[0] == address.partition("?")[0]
    )  # no bytes yet: it may try again
    assert client("PUT", address, b"1", If_None_Match="*").status == 201
    assert client("PUT", address, b"2", If_None_Match="*").status == 409
    errors = client.artifact("POST", f"batch/metadata/{CONTAINER}", {"paths": [{"path": "x"}]}).json["errors"]
    assert "Resource Conflict" in errors["x"]["error"]["message"]
    assert content(client, "x") == b"1"


def test_blocks(client: Client, run: str) -> None:
    """A large artifact comes in blocks and is there when the list of blocks is."""
    address = create(client, "big")
    for block, body in (("b1", b"one "), ("b2", b"two")):
        assert client("PUT", f"{address}&comp=block&blockid={block}", body).status == 201
    assert client("HEAD", address).status == 404
    listed = b"<BlockList><Latest>b1</Latest><Latest>b2</Latest></BlockList>"
    assert client("PUT", f"{address}&comp=blocklist", listed.replace(b"b2", b"b3")).status == 400
    assert client("PUT", f"{address}&comp=blocklist", listed).status == 201
    assert client("HEAD", address).headers["Content-Length"] == "7"
    assert content(client, "big") == b"one two"


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:-1] + ("0" if a[-1] != "0" else "1"),
        lambda a: a.partition("?")[0],
        lambda a: a.replace("se=", "se=9"),
        lambda a: a.replace("se=", "xx="),
    ],
)
def test_an_address_must_be_signed(client: Client, run: str, change: Callable[[str], str]) -> None:
    """Bytes are put and got by signed addresses only, each for its purpose."""
    address = create(client, "x")
    assert client("PUT", change(address), b"x").status == 403
    assert client("GET", address).status == 403  # an address for writing
    assert client("PUT", f"/blobs/..%2F..%2Fx{address.partition('?')[2]}", b"x").status in (403, 404)


def test_lists(client: Client, run: str) -> None:
    """All artifacts of a run, or those under a prefix; none is a 404 by name and an empty list by prefix."""
    for path in ("outputs/a", "outputs/b", "logs/c"):
        create(client, path)
    paths = [one["path"] for one in client.artifact("GET", CONTAINER).json["value"]]
    below = client.artifact("GET", f"prefix/contentinfo/{CONTAINER}/outputs/").json["value"]
    assert paths == ["outputs/a", "outputs/b", "logs/c"]
    assert [one["path"] for one in below] == ["outputs/a", "outputs/b"]
    assert client.artifact("GET", f"contentinfo/{CONTAINER}/none").status == 404
    assert client.artifact("GET", "ExperimentRun/dcid.other").status == 403
    too_many = {"paths": [{"path": str(i)} for i in range(51)]}
    assert client.artifact("POST", f"batch/metadata/{CONTAINER}", too_many).status == 400


def test_the_certificate(azure: AzureOnThisMachine, client: Client) -> None:
    """The upload port is trusted by the bundle of the job, which has the usual authorities too, and by nobody else."""
    environment = azure.job_environment(run_id="run_1", step_name="train")
    made = client.artifact("POST", f"batch/metadata/{CONTAINER}", {"paths": [{"path": "x"}]}).json
    uri = made["artifactContentInformation"]["x"]["contentUri"].replace("this-machine.blob.local@", "")
    request = urllib.request.Request(uri, b"bytes", method="PUT")
    trusting = ssl.create_default_context(cafile=environment["REQUESTS_CA_BUNDLE"])
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(request, timeout=300)
    with urllib.request.urlopen(request, timeout=300, context=trusting) as reply:
        assert reply.status == 201
    assert len(trusting.get_ca_certs()) > 50
    files = [path for path in azure.directory.rglob("*") if path.is_file()]
    assert [path for path in files if b"PRIVATE KEY" in path.read_bytes()] == []


def test_without_cryptography(child: Any) -> None:
    """Where no certificate can be made, the error says what to install."""
    code = """
import sys
sys.modules["cryptography"] = None
from amllog.errors import MissingExtraError
from amllog.local import AzureOnThisMachine
with AzureOnThisMachine("azure") as azure:
    try:
        azure.job_environment(run_id="r", step_name="s")
    except MissingExtraError as error:
        print(error)
"""
    assert "pip install 'amllog[local]'" in child(code).stdout
