"""An MLflow tracking server on loopback for tests, which keeps the requests of `MlflowClient` in memory and has faults.

It replaces `mlflow server`, which would install half a gigabyte. It implements the requests of amllog. The response to
any other is ENDPOINT_NOT_FOUND.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

PREFIX = "/api/2.0/mlflow/"


class TrackingServer:
    """The server. `runs`: the received data. `fault`: called before each request, returns (status, content) or None."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, str] = {}
        self.requests: list[str] = []
        self.fault: Callable[[str, Any], tuple[int, Any] | None] = lambda path, body: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """The value for MLFLOW_TRACKING_URI."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> dict[str, Any]:
        """Return the only run of that name."""
        [run] = [run for run in self.runs.values() if run["info"]["run_name"] == name]
        return run

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Return status and content of the response to a request."""
        method = getattr(self, "_" + re.sub(r"\W", "_", path), None)
        if method is None:
            return 404, {"error_code": "ENDPOINT_NOT_FOUND", "message": path}
        run_id = body.get("run_id") if path != "runs/create" else None
        if run_id is not None and run_id not in self.runs:
            return 404, {
                "error_code": "RESOURCE_DOES_NOT_EXIST",
                "message": f"Run with id={run_id} not found",
            }
        return 200, method(body)

    def _experiments_get_by_name(self, body: dict[str, Any]) -> Any:
        name = body["experiment_name"]
        self.experiments.setdefault(name, str(len(self.experiments)))
        return {"experiment": {"experiment_id": self.experiments[name], "name": name}}

    def _runs_create(self, body: dict[str, Any]) -> Any:
        run_id = uuid.uuid4().hex
        info = {
            "run_id": run_id, "run_uuid": run_id, "run_name": body.get("run_name", ""), "status": "RUNNING",
            "experiment_id": body["experiment_id"], "start_time": 0, "lifecycle_stage": "active",
        }  # fmt: skip
        tags = {tag["key"]: tag["value"] for tag in body.get("tags", [])}
        self.runs[run_id] = {"info": info, "metrics": [], "tags": tags}
        return {"run": self._run(run_id)}

    def _runs_get(self, body: dict[str, Any]) -> Any:
        return {"run": self._run(body["run_id"])}

    def _runs_search(self, body: dict[str, Any]) -> Any:
        key, value = re.fullmatch(r"tags\.`(.*)` = '(.*)'", body["filter"]).groups()
        run_ids = [run_id for run_id, run in self.runs.items() if run["tags"].get(key) == value]
        return {"runs": [self._run(run_id) for run_id in run_ids]}

    def _runs_log_batch(self, body: dict[str, Any]) -> Any:
        run = self.runs[body["run_id"]]
        run["metrics"] += [
            (m["key"], float(m["value"]), int(m.get("step", 0))) for m in body.get("metrics", [])
        ]
        run["tags"].update({tag["key"]: tag.get("value", "") for tag in body.get("tags", [])})
        return {}

    def _runs_delete_tag(self, body: dict[str, Any]) -> Any:
        self.runs[body["run_id"]]["tags"].pop(body["key"], None)
        return {}

    def _runs_update(self, body: dict[str, Any]) -> Any:
        self.runs[body["run_id"]]["info"]["status"] = body["status"]
        return {"run_info": self.runs[body["run_id"]]["info"]}

    def _run(self, run_id: str) -> Any:
        run = self.runs[run_id]
        tags = [{"key": key, "value": value} for key, value in run["tags"].items()]
        return {"info": run["info"], "data": {"tags": tags}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            """The handler of one request."""

            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else dict(parse_qsl(parts.query))
                path = parts.path.partition(PREFIX)[2]
                outer.requests.append(path)
                status, content = outer.fault(path, body) or outer.answer(path, body)
                payload = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815  http.server's names

            def log_message(self, *args: Any) -> None:
                """Print nothing."""

        return Handler


@pytest.fixture
def tracking() -> Iterator[TrackingServer]:
    """Start a tracking server on this machine."""
    server = TrackingServer()
    yield server
    server.stop()
