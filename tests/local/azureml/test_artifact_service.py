"""Signed addresses, uploads in blocks, and lists of artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import CONTAINER, create_artifact, read_artifact  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..conftest import Client


def test_uploads_in_blocks(client: Client, run: str) -> None:
    """A large artifact is uploaded in blocks and exists after the list of blocks."""
    address = create_artifact(client, "big")
    for block, body in (("b1", b"one "), ("b2", b"two")):
        assert client("PUT", f"{address}&comp=block&blockid={block}", body).status == 201
    assert client("HEAD", address).status == 404
    listed = b"<BlockList><Latest>b1</Latest><Latest>b2</Latest></BlockList>"
    assert client("PUT", f"{address}&comp=blocklist", listed.replace(b"b2", b"b3")).status == 400
    assert client("PUT", f"{address}&comp=blocklist", listed).status == 201
    assert client("HEAD", address).headers["Content-Length"] == "7"
    assert read_artifact(client, "big") == b"one two"


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a[:-1] + ("0" if a[-1] != "0" else "1"),
        lambda a: a.partition("?")[0],
        lambda a: a.replace("se=", "se=9"),
        lambda a: a.replace("se=", "xx="),
    ],
)
def test_addresses_must_be_signed(client: Client, run: str, change: Callable[[str], str]) -> None:
    """Bytes can be written and read with a signed address only, for its purpose only."""
    address = create_artifact(client, "x")
    assert client("PUT", change(address), b"x").status == 403
    assert client("GET", address).status == 403  # an address for writing
    assert client("PUT", f"/blobs/..%2F..%2Fx{address.partition('?')[2]}", b"x").status in (403, 404)


def test_lists_of_artifacts(client: Client, run: str) -> None:
    """A list has all artifacts of a run or those with a prefix. A missing artifact is a 404."""
    for path in ("outputs/a", "outputs/b", "logs/c"):
        create_artifact(client, path)
    paths = [artifact["path"] for artifact in client.artifact("GET", CONTAINER).json["value"]]
    below = client.artifact("GET", f"prefix/contentinfo/{CONTAINER}/outputs/").json["value"]
    assert paths == ["outputs/a", "outputs/b", "logs/c"]
    assert [artifact["path"] for artifact in below] == ["outputs/a", "outputs/b"]
    assert client.artifact("GET", f"contentinfo/{CONTAINER}/none").status == 404
    assert client.artifact("GET", "ExperimentRun/dcid.other").status == 403
    too_many = {"paths": [{"path": str(i)} for i in range(51)]}
    assert client.artifact("POST", f"batch/metadata/{CONTAINER}", too_many).status == 400
