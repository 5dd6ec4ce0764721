"""MLflow's artifact proxy: the artifacts of a run, by their names (`mlflow-artifacts:/<run>/<path>`).

A large file is uploaded in parts, each to a signed address of the blob storage.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from amllog.local.azureml.artifacts import ArtifactStore
from amllog.local.azureml.runs import RunStore
from amllog.local.http.access import Access, check_related
from amllog.local.http.request import Request, Response
from amllog.local.http.routes import Credential, Names, Route
from amllog.local.mlflow import conversion
from amllog.local.mlflow.operations import PREFIX

_ARTIFACTS = f"{PREFIX}/mlflow-artifacts/artifacts"
_PARTS = f"{PREFIX}/mlflow-artifacts/mpu"
_ORIGIN = "ExperimentRun"
PARTS_MAX = 50_000


class MLflowArtifacts:
    """The operations on the artifacts of a run, which azureml's Run sees, too."""

    def __init__(
        self, runs: RunStore, artifacts: ArtifactStore, access: Access, url: Callable[[], str]
    ) -> None:
        self._runs, self._artifacts, self._access, self._url = runs, artifacts, access, url

    def routes(self) -> list[Route]:
        """Return the routes of the operations."""
        file = f"{_ARTIFACTS}/{{run}}/{{path*}}"
        return [
            Route("PUT", file, Credential.RUN, self._write),
            Route("GET", file, Credential.RUN, self._read),
            Route("GET", _ARTIFACTS, Credential.RUN, self._list),
            *(
                Route("POST", f"{_PARTS}/{action}/{{run}}{folder}", Credential.RUN, handle)
                for folder in ("", "/{path*}")
                for action, handle in (
                    ("create", self._create_parts),
                    ("complete", self._complete_parts),
                    ("abort", self._abort_parts),
                )
            ),
        ]

    def _write(self, request: Request, names: Names) -> Response:
        """Write a file. As in MLflow, it may exist already."""
        self._artifacts.write(self._key(names["run"], names["path"]), request.body)
        return Response.from_value({})

    def _create_parts(self, request: Request, names: Names) -> Response:
        """Return the addresses of the parts of a file. `path` in the body is the path of the client's file."""
        body = conversion.body_of(request)
        number = body.get("num_parts", 1)
        if not isinstance(number, int) or not 0 < number <= PARTS_MAX:
            raise conversion.invalid(f"num_parts: expected 1 to {PARTS_MAX}")
        key, upload = self._part_key(body, names), secrets.token_hex(8)
        address = f"{self._url()}/blobs/{key}?{self._access.sign(key, 'w')}&comp=block"
        parts = [
            {"url": f"{address}&blockid={upload}-{part}", "part_number": part, "headers": {}}
            for part in range(1, number + 1)
        ]
        return Response.from_value({"upload_id": upload, "credentials": parts})

    def _complete_parts(self, request: Request, names: Names) -> Response:
        body = conversion.body_of(request)
        upload, parts = conversion.text(body, "upload_id"), conversion.objects(body.get("parts"))
        blocks = [f"{upload}-{part.get('part_number')}" for part in parts]
        self._artifacts.commit(self._part_key(body, names), blocks)
        return Response.from_value({})

    def _abort_parts(self, request: Request, names: Names) -> Response:
        return Response.from_value({})

    def _part_key(self, body: Mapping[str, Any], names: Names) -> str:
        name = conversion.text(body, "path").replace("\\", "/").rpartition("/")[2]
        return self._key(names["run"], "/".join(filter(None, (names.get("path"), name))))

    def _key(self, run_id: str, path: str) -> str:
        container = self._runs.get(run_id)["dataContainerId"]
        key = self._artifacts.find_key(_ORIGIN, container, path)
        return key or self._artifacts.create(_ORIGIN, container, path)

    def _read(self, request: Request, names: Names) -> Response:
        container = self._runs.get(names["run"])["dataContainerId"]
        key = self._artifacts.find_key(_ORIGIN, container, names["path"])
        if key is None:
            raise conversion.refusal(404, "RESOURCE_DOES_NOT_EXIST", f"No artifact {names['path'][:200]!r}")
        return Response(200, self._artifacts.read(key), content_type="application/octet-stream")

    def _list(self, request: Request, names: Names) -> Response:
        run_id, _, folder = conversion.text(request.query, "path").strip("/").partition("/")
        check_related(self._runs, request.run_id, run_id)
        container = self._runs.get(run_id)["dataContainerId"]
        listed = self._artifacts.list_container(_ORIGIN, container)
        return Response.from_value({"files": conversion.to_files(listed, folder)})
