"""The operations of MLflow 3 on logged models, and the outputs of runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from amllog.local.azureml.runs import RunStore
from amllog.local.http.routes import Route
from amllog.local.mlflow.conversion import invalid, items, objects, pairs, refusal, text
from amllog.local.mlflow.model_store import Model, ModelStore
from amllog.local.mlflow.operations import Body, operation_routes

_STATUSES = ("LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")
_CLAUSE = re.compile(
    r"""\s*(?:attributes\.)?(name|model_id|source_run_id|model_type|status)\s*=\s*['"]([^'"]*)['"]\s*"""
)


class LoggedModels:
    """The operations. Each method gets the run of the token and the body, and returns the body of the response."""

    def __init__(self, runs: RunStore, models: ModelStore) -> None:
        self._runs, self._models = runs, models

    def routes(self) -> list[Route]:
        """Return the routes of the operations, the more specific paths first."""
        return operation_routes(
            {
                ("POST", "logged-models"): self._create,
                ("POST", "logged-models/search"): self._search,
                ("GET", "logged-models/{model_id}"): self._get,
                ("PATCH", "logged-models/{model_id}"): self._finalize,
                ("DELETE", "logged-models/{model_id}"): self._delete,
                ("POST", "logged-models/{model_id}/params"): self._log_params,
                ("PATCH", "logged-models/{model_id}/tags"): self._set_tags,
                ("DELETE", "logged-models/{model_id}/tags/{tag_key}"): self._delete_tag,
                ("POST", "runs/outputs"): self._log_outputs,
            }
        )

    def _create(self, caller: str, body: Body) -> object:
        run_id = str(body.get("source_run_id") or caller)
        if not self._runs.are_related(caller, run_id):
            raise refusal(403, "PERMISSION_DENIED", "The run token is for another pipeline run")
        fields = {
            "experiment_id": text(body, "experiment_id"),
            "tags": pairs(body.get("tags")),
            "params": pairs(body.get("params")),
        }
        optional = {name: str(body[name]) for name in ("name", "model_type") if body.get(name)}
        return _response(self._models.log({**fields, **optional}, run_id))

    def _get(self, caller: str, body: Body) -> object:
        return _response(self._models.logged(body["model_id"]))

    def _finalize(self, caller: str, body: Body) -> object:
        status = text(body, "status")
        if status not in _STATUSES:
            raise invalid(f"Invalid status {status[:50]!r}: allowed are {', '.join(_STATUSES)}")
        return _response(self._models.change_logged(body["model_id"], status=status))

    def _delete(self, caller: str, body: Body) -> object:
        self._models.delete_logged(body["model_id"])
        return {}

    def _log_params(self, caller: str, body: Body) -> object:
        self._models.change_logged(body["model_id"], params=pairs(body.get("params")))
        return {}

    def _set_tags(self, caller: str, body: Body) -> object:
        return _response(self._models.change_logged(body["model_id"], tags=pairs(body.get("tags"))))

    def _delete_tag(self, caller: str, body: Body) -> object:
        self._models.change_logged(body["model_id"], tags={body["tag_key"]: None})
        return {}

    def _search(self, caller: str, body: Body) -> object:
        """Return the models of experiments. A filter compares attributes, which are joined by `and`."""
        wanted = body.get("experiment_ids") or []
        if not isinstance(wanted, list):
            raise invalid("Expected a list experiment_ids")
        clauses = _clauses(str(body.get("filter") or ""))
        models = [
            model
            for model in self._models.all_logged()
            if model["experiment_id"] in wanted and all(model.get(name) == value for name, value in clauses)
        ]
        return {"models": [to_logged_model(model) for model in models]}

    def _log_outputs(self, caller: str, body: Body) -> object:
        """Add models to the outputs of a run, which `runs/get` returns."""
        run_id = text(body, "run_id")
        if not self._runs.are_related(caller, run_id):
            raise refusal(403, "PERMISSION_DENIED", "The run token is for another pipeline run")
        outputs = [
            {"model_id": text(model, "model_id"), "step": str(model.get("step") or 0)}
            for model in objects(body.get("models"))
        ]
        self._runs.extend_list(run_id, "modelOutputs", outputs)
        return {}


def _clauses(condition: str) -> list[tuple[str, str]]:
    parts = [part for part in re.split(r"\s+and\s+", condition, flags=re.IGNORECASE) if part.strip()]
    matches = [_CLAUSE.fullmatch(part) for part in parts]
    if not all(matches):
        raise invalid(f"The local Azure does not support the filter {condition[:100]!r}")
    return [(match[1], match[2]) for match in matches if match]


def _response(model: Model) -> Mapping[str, Any]:
    return {"model": to_logged_model(model)}


def to_logged_model(model: Model) -> dict[str, Any]:
    """Return a logged model in MLflow's format."""
    info = {name: value for name, value in model.items() if name not in ("tags", "params")}
    return {"info": {**info, "tags": items(model["tags"])}, "data": {"params": items(model["params"])}}
