"""The part of MLflow's REST API that scripts use for a run: its metrics, parameters, tags and children.

Numbers become metrics of run history, so that azureml's Run and MLflow see the same values. A request has the run token
of its job (MLFLOW_TRACKING_TOKEN), which is valid for the runs of one pipeline run.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from amllog.local.azureml.metrics import MetricStore
from amllog.local.azureml.new_run_ids import new_run_name
from amllog.local.azureml.runs import Run, RunStore, experiment_id
from amllog.local.http.request import Request, Response
from amllog.local.http.routes import Credential, Names, Route
from amllog.local.mlflow import conversion
from amllog.local.mlflow.conversion import invalid, objects, pairs, refusal, text
from amllog.local.mlflow.operations import Body, Operation, operation_routes

_MODEL_HISTORY = "mlflow.log-model.history"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class MLflowTracking:
    """The operations. Each method gets the run of the token and the body, and returns the body of the response."""

    def __init__(self, runs: RunStore, metrics: MetricStore) -> None:
        self._runs, self._metrics = runs, metrics
        self._experiments: dict[str, str] = {}  # created by MLflow, by id

    def routes(self) -> list[Route]:
        """Return the routes of the operations. The last ones answer all other paths in MLflow's format."""
        operations: dict[tuple[str, str], Operation] = {
            ("GET", "experiments/get"): self._experiment,
            ("GET", "experiments/get-by-name"): self._experiment_by_name,
            ("POST", "experiments/create"): self._create_experiment,
            ("POST", "experiments/search"): self._search_experiments,
            ("GET", "runs/get"): self._get,
            ("POST", "runs/create"): self._create,
            ("POST", "runs/update"): self._update,
            ("POST", "runs/search"): self._search,
            ("POST", "runs/log-metric"): self._log_metric,
            ("POST", "runs/log-parameter"): self._log_parameter,
            ("POST", "runs/log-batch"): self._log_batch,
            ("POST", "runs/log-inputs"): self._log_inputs,
            ("POST", "runs/set-tag"): self._set_tag,
            ("POST", "runs/delete-tag"): self._delete_tag,
            ("GET", "metrics/get-history"): self._history,
            ("POST", "runs/log-model"): self._log_model,
        }
        return [
            *operation_routes(operations),
            *(Route(method, "/mlflow/{path*}", Credential.RUN, _missing) for method in _METHODS),
        ]

    def _find(self, caller: str, body: Body) -> Run:
        run_id = text(body, "run_id", "run_uuid")
        if not self._runs.contains(run_id):
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Run {run_id[:100]!r} not found")
        self._check(caller, run_id)
        return self._runs.get(run_id)

    def _check(self, caller: str, run_id: str) -> None:
        if not self._runs.are_related(caller, run_id):
            raise refusal(403, "PERMISSION_DENIED", "The run token is for another pipeline run")

    def _known_experiments(self, caller: str) -> dict[str, str]:
        related = {run["experimentId"]: run["experimentName"] for run in self._runs.related_to(caller)}
        return {**self._experiments, **related}

    def _experiment(self, caller: str, body: Body) -> object:
        wanted, known = text(body, "experiment_id"), self._known_experiments(caller)
        if wanted not in known:
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"No experiment with the id {wanted[:100]!r}")
        return {"experiment": conversion.to_experiment(wanted, known[wanted])}

    def _experiment_by_name(self, caller: str, body: Body) -> object:
        name = text(body, "experiment_name")
        if name not in self._known_experiments(caller).values():
            raise refusal(404, "RESOURCE_DOES_NOT_EXIST", f"No experiment with the name {name[:100]!r}")
        return {"experiment": conversion.to_experiment(experiment_id(name), name)}

    def _create_experiment(self, caller: str, body: Body) -> object:
        name = text(body, "name")
        if name in self._known_experiments(caller).values():
            raise refusal(400, "RESOURCE_ALREADY_EXISTS", f"Experiment {name[:100]!r} exists")
        self._experiments[experiment_id(name)] = name
        return {"experiment_id": experiment_id(name)}

    def _search_experiments(self, caller: str, body: Body) -> object:
        known = self._known_experiments(caller)
        return {"experiments": [conversion.to_experiment(*item) for item in known.items()]}

    def _get(self, caller: str, body: Body) -> object:
        return {"run": self._to_run(self._find(caller, body))}

    def _create(self, caller: str, body: Body) -> object:
        """Create a child of the run that the tag names, otherwise of the caller.

        Autologging ends the run of the job after `fit`, and MLflow logs everything after that into such a child.
        """
        tags = pairs(body.get("tags"))
        parent = tags.get("mlflow.parentRunId") or caller
        name = body.get("run_name") or tags.get("mlflow.runName") or new_run_name()
        self._check(caller, parent)
        change = {"tags": tags, "name": name, "displayName": name, "status": "Running", "parentRunId": parent}
        return {"run": self._to_run(self._runs.patch(str(uuid.uuid4()), "", change))}

    def _update(self, caller: str, body: Body) -> object:
        """Change the name or the status. The job ends its own run, and not MLflow, as in Azure ML."""
        run = self._find(caller, body)
        status = conversion.to_status(str(body["status"])) if body.get("status") else None
        if status and run["runId"] != caller:
            if body["status"] in conversion.ENDED:
                run = self._runs.apply_event(run["runId"], status, {})
            run = self._runs.patch(run["runId"], "", {"status": status})
        if body.get("run_name"):
            run = self._runs.patch(run["runId"], "", {"displayName": text(body, "run_name")})
        return {"run_info": self._to_run(run)["info"]}

    def _search(self, caller: str, body: Body) -> object:
        wanted, limit = body.get("experiment_ids") or [], body.get("max_results") or 1000
        if not isinstance(wanted, list) or not isinstance(limit, int):
            raise invalid("Expected a list experiment_ids and a number max_results")
        related = [run for run in reversed(self._runs.related_to(caller)) if run["experimentId"] in wanted]
        runs = [self._to_run(run) for run in related]
        condition = str(body.get("filter") or "")
        return {"runs": [run for run in runs if conversion.matches(run, condition)][:limit]}

    def _log_metric(self, caller: str, body: Body) -> object:
        return self._log_batch(caller, {"run_id": text(body, "run_id", "run_uuid"), "metrics": [body]})

    def _log_parameter(self, caller: str, body: Body) -> object:
        return self._log_batch(caller, {"run_id": text(body, "run_id", "run_uuid"), "params": [body]})

    def _log_batch(self, caller: str, body: Body) -> object:
        run = self._find(caller, body)
        posts = [conversion.to_metric(metric) for metric in objects(body.get("metrics"))]
        params, known = pairs(body.get("params")), run.get("params", {})
        changed = [key for key, value in params.items() if known.get(key, value) != value]
        if changed:
            raise invalid(f"The value of parameter {changed[0][:100]!r} cannot be changed")
        errors = self._metrics.post(run["runId"], posts)
        if errors:
            raise invalid(errors[0]["errorResponse"]["error"]["message"])
        if params:
            self._runs.add(run["runId"], "", params={**known, **params})
        if body.get("tags"):
            self._runs.patch(run["runId"], "", {"tags": pairs(body["tags"])})
        return {}

    def _log_inputs(self, caller: str, body: Body) -> object:
        """Accept the data sets of a run, which run history does not store."""
        self._find(caller, body)
        return {}

    def _log_model(self, caller: str, body: Body) -> object:
        """Add a model to the history in the run's tag (MLflow 2), of which the first one counts as in MLflow."""
        run, logged = self._find(caller, body), text(body, "model_json")
        try:
            models = [*json.loads(run["tags"].get(_MODEL_HISTORY, "[]")), json.loads(logged)]
        except (ValueError, TypeError) as error:
            raise invalid(f"Invalid model_json: {error}") from error
        self._runs.add(run["runId"], "", tags={**run["tags"], _MODEL_HISTORY: json.dumps(models)})
        return {}

    def _set_tag(self, caller: str, body: Body) -> object:
        return self._log_batch(caller, {"run_id": text(body, "run_id", "run_uuid"), "tags": [body]})

    def _delete_tag(self, caller: str, body: Body) -> object:
        self._runs.remove_tags(self._find(caller, body)["runId"], [text(body, "key")])
        return {}

    def _history(self, caller: str, body: Body) -> object:
        name = text(body, "metric_key")
        return {
            "metrics": conversion.to_points(
                self._metrics.merged(self._find(caller, body)["runId"], name), name
            )
        }

    def _to_run(self, run: Run) -> dict[str, Any]:
        names = self._metrics.names(run["runId"])
        points = [conversion.to_points(self._metrics.merged(run["runId"], name), name)[-1:] for name in names]
        return conversion.to_run(run, [point for last in points for point in last])


def _missing(request: Request, names: Names) -> Response:
    raise refusal(404, "ENDPOINT_NOT_FOUND", f"The local Azure has no {names['path'][:200]} of MLflow")
