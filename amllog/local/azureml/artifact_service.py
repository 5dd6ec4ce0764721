"""The API of artifacts and of their blob storage, for azureml's artifact client and the Azure storage client.

The storage client requires `https` and a host of the form `<account>.blob.<suffix>`. So an upload address is
`https://this-machine.blob.local@127.0.0.1:<port>/…`. The part before the @ is user information, which is not used to
find the host, so the client connects to the TLS port of this server.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from amllog.local.azureml.artifacts import ArtifactStore
from amllog.local.http.access import Access
from amllog.local.http.request import Refusal, Request, Response
from amllog.local.http.routes import WORKSPACE, Credential, Names, Route

ARTIFACT = f"/artifact/v2.0{WORKSPACE}/artifacts"
BATCH_MAX = 50
LISTED_LOGS = ("azureml-logs/", "logs/azureml/")
_BLOCK = re.compile(r"<(?:Latest|Uncommitted|Committed)>([^<]+)<")


class ArtifactService:
    """The operations on artifacts and their bytes. Addresses begin with the URL of the plain or the TLS server."""

    def __init__(
        self, artifacts: ArtifactStore, access: Access, url: Callable[[], str], upload_url: Callable[[], str]
    ) -> None:
        self._artifacts, self._access, self._url, self._upload_url = artifacts, access, url, upload_url

    def routes(self) -> list[Route]:
        """Return the routes of the operations, the more specific paths first."""
        return [
            Route(
                "POST", f"{ARTIFACT}/batch/metadata/{{origin}}/{{container}}", Credential.RUN, self._create
            ),
            Route(
                "GET",
                f"{ARTIFACT}/contentinfo/{{origin}}/{{container}}/{{path*}}",
                Credential.RUN,
                self._content,
            ),
            Route(
                "GET",
                f"{ARTIFACT}/prefix/contentinfo/{{origin}}/{{container}}/{{path*}}",
                Credential.RUN,
                self._contents,
            ),
            Route("GET", f"{ARTIFACT}/{{origin}}/{{container}}", Credential.RUN, self._list),
            Route("GET", "/blobs/{key}", Credential.READ_ADDRESS, self._get_blob),
            Route("HEAD", "/blobs/{key}", Credential.WRITE_ADDRESS, self._head_blob),
            Route("PUT", "/blobs/{key}", Credential.WRITE_ADDRESS, self._put_blob),
        ]

    def log_addresses(self, container: str) -> dict[str, str]:
        """Return the addresses of the log files of a run that run history lists: those of the legacy runtime."""
        listed = self._artifacts.list_container("ExperimentRun", container)
        return {
            artifact.path: self._read_uri(self._artifacts.key(*artifact[:3]))
            for artifact in listed
            if artifact.path.startswith(LISTED_LOGS)
        }

    def _create(self, request: Request, names: Names) -> Response:
        origin, container = names["origin"], names["container"]
        paths = [entry.get("path") if isinstance(entry, dict) else None for entry in _paths(request.json())]
        if len(paths) > BATCH_MAX:
            raise Refusal(400, f"Too many artifacts in a batch: expected at most {BATCH_MAX}")
        created: dict[str, dict[str, Any]] = {"artifacts": {}, "artifactContentInformation": {}, "errors": {}}
        for path in map(str, paths):
            name = {"origin": origin, "container": container, "path": path}
            try:
                key = self._artifacts.create(origin, container, path)
            except Refusal as refusal:
                created["errors"][path] = {"error": {"code": refusal.code, "message": refusal.message}}
                continue
            created["artifacts"][path] = {"artifactId": f"{origin}/{container}/{path}", **name}
            uri = f"{self._upload_url()}/blobs/{key}?{self._access.sign(key, 'w')}"
            created["artifactContentInformation"][path] = {"contentUri": uri, **name}
        return Response.from_value(created)

    def _content(self, request: Request, names: Names) -> Response:
        key = self._artifacts.find_key(names["origin"], names["container"], names["path"])
        if key is None:
            raise Refusal(404, f"Artifact {names['path'][:200]} was not found")
        return Response.from_value({**artifact_names(names), "contentUri": self._read_uri(key)})

    def _contents(self, request: Request, names: Names) -> Response:
        listed = self._artifacts.list_container(names["origin"], names["container"], names["path"])
        keys = [self._artifacts.key(*artifact[:3]) for artifact in listed]
        value = [
            {**artifact_names(names), "path": artifact.path, "contentUri": self._read_uri(key)}
            for artifact, key in zip(listed, keys)
        ]
        return Response.from_value({"value": value, "continuationToken": None})

    def _list(self, request: Request, names: Names) -> Response:
        listed = self._artifacts.list_container(names["origin"], names["container"])
        value = [
            {**artifact_names(names), "path": artifact.path, "artifactId": artifact.artifact_id}
            for artifact in listed
        ]
        return Response.from_value({"value": value, "continuationToken": None})

    def _read_uri(self, key: str) -> str:
        return f"{self._url()}/blobs/{key}?{self._access.sign(key, 'r')}"

    def _get_blob(self, request: Request, names: Names) -> Response:
        body = self._artifacts.read(names["key"])
        return Response(
            200, body, {"content-sha256": hashlib.sha256(body).hexdigest()}, "application/octet-stream"
        )

    def _head_blob(self, request: Request, names: Names) -> Response:
        size = self._artifacts.size(names["key"])
        if size < 0:
            return Response(404, headers={"x-ms-error-code": "BlobNotFound"})
        return Response(
            200, b"", {**_blob_headers(), "Content-Length": str(size), "x-ms-blob-type": "BlockBlob"}
        )

    def _put_blob(self, request: Request, names: Names) -> Response:
        key, part = names["key"], request.query.get("comp", "")
        if part == "block":
            self._artifacts.write_block(key, request.query.get("blockid", ""), request.body)
        elif request.headers.get("if-none-match") == "*" and self._artifacts.size(key) >= 0:
            return Response(409, headers={"x-ms-error-code": "BlobAlreadyExists"})
        elif part == "blocklist":
            self._artifacts.commit(key, _BLOCK.findall(request.body.decode("utf-8", "replace")))
        else:
            self._artifacts.write(key, request.body)
        md5 = base64.b64encode(
            hashlib.md5(request.body).digest()
        ).decode()  # the checksum of the storage protocol
        return Response(
            201, b"", {**_blob_headers(), "Content-MD5": md5, "x-ms-request-server-encrypted": "false"}
        )


def artifact_names(names: Names) -> dict[str, str]:
    """Return the origin, container and path among the names in the path of a request."""
    return {name: names[name] for name in ("origin", "container", "path") if name in names}


def _blob_headers() -> dict[str, str]:
    return {"ETag": '"0x1"', "Last-Modified": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}


def _paths(body: object) -> list[Any]:
    paths = body.get("paths") if isinstance(body, dict) else None
    if not isinstance(paths, list):
        raise Refusal(400, "Expected a list of paths")
    return paths
