"""The API of run history, experiments and metrics that azureml's `Run` calls in a job.

The requests and responses have the formats of the services. The state is in `RunStore` and `MetricStore`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from amllog.local.azureml.job_environment import RunTokens
from amllog.local.azureml.metrics import BATCH_MAX, MetricStore
from amllog.local.azureml.pipeline_data_types import data_types
from amllog.local.azureml.runs import Run, RunStore
from amllog.local.http.access import check_change, check_related
from amllog.local.http.request import Refusal, Request, Response
from amllog.local.http.routes import WORKSPACE, Credential, Names, Route

HISTORY = f"/history/v1.0{WORKSPACE}"
METRIC = f"/metric/v2.0{WORKSPACE}"
LogAddresses = Callable[[str], Mapping[str, str]]  # of a container, by the names of the files
_CLAUSE = re.compile(
    r"(RunId|RootRunId|ParentRunId|Status|RunType|ExperimentId) (eq|ne) '?([^'()]+)'?", re.IGNORECASE
)


class RunHistory:
    """The operations of run history and the metric service."""

    def __init__(
        self, runs: RunStore, metrics: MetricStore, tokens: RunTokens, url: str, log_addresses: LogAddresses
    ) -> None:
        self._runs, self._metrics, self._tokens, self._url = runs, metrics, tokens, url
        self._log_addresses = log_addresses

    def routes(self) -> list[Route]:
        """Return the routes of the operations. A path contains the name or the id of an experiment."""
        of_run: Sequence[tuple[str, str, Callable[[Request, Names], Response]]] = (
            ("GET", "", self._get),
            ("PATCH", "", self._patch),
            ("DELETE", "/tags", self._remove_tags),
            ("GET", "/details", self._details),
            ("GET", "/token", self._token),
            ("GET", "/children", self._children),
            ("POST", "/events", self._event),
            ("GET", "/metricsingest/wait", self._wait),
            ("POST", "/batch/metrics", self._post_old_metrics),
            ("POST", "/metrics", self._post_old_metric),
        )
        both = ("experiments", "experimentids")
        return [
            Route("GET", "/discovery/workspaces/{_w}", Credential.DISCOVERY, self._discover),
            *(
                Route(m, f"{HISTORY}/{e}/{{experiment}}/runs/{{run}}{end}", Credential.RUN, do)
                for m, end, do in of_run
                for e in both
            ),
            *(Route("GET", f"{HISTORY}/{e}/{{experiment}}", Credential.RUN, self._experiment) for e in both),
            *(
                Route("POST", f"{HISTORY}/{e}/{{experiment}}/runs:query", Credential.RUN, self._query)
                for e in both
            ),
            *(
                Route("PATCH", f"{HISTORY}/{e}/{{experiment}}/batch/runs", Credential.RUN, self._patch_many)
                for e in both
            ),
            *(
                Route("POST", f"{HISTORY}/{e}/{{experiment}}/batch/events", Credential.RUN, self._events)
                for e in both
            ),
            Route("POST", f"{HISTORY}/runs:query", Credential.RUN, self._query),
            Route("GET", f"{HISTORY}/runs/{{run}}", Credential.RUN, self._get),
            Route("POST", f"{METRIC}/runs/{{run}}/batch", Credential.RUN, self._post_metrics),
            Route("POST", f"{METRIC}/runs/{{run}}/list", Credential.RUN, self._list_metrics),
            Route("POST", f"{METRIC}/runs/{{run}}/full", Credential.RUN, self._full_metric),
            Route(
                "GET",
                f"/pipelines/v1.0{WORKSPACE}/DataTypes",
                Credential.RUN,
                lambda request, names: Response.from_value(data_types()),
            ),
        ]

    def _discover(self, request: Request, names: Names) -> Response:
        services = "history experimentation hyperdrive modelmanagement pipelines catalog api studio"
        return Response.from_value(dict.fromkeys(services.split(), self._url))

    def _get(self, request: Request, names: Names) -> Response:
        return Response.from_value(self._runs.get(names["run"]))

    def _patch(self, request: Request, names: Names) -> Response:
        change = _object(request.json())
        check_change(self._runs, request.run_id, names["run"], change)
        return Response.from_value(self._runs.patch(names["run"], self._experiment_name(names), change))

    def _patch_many(self, request: Request, names: Names) -> Response:
        changes = _objects(_object(request.json()).get("runs"))
        experiment = self._experiment_name(names)
        for change in changes:
            check_change(self._runs, request.run_id, str(change.get("runId")), change)
        runs = {
            str(change.get("runId")): self._runs.patch(str(change.get("runId")), experiment, change)
            for change in changes
        }
        return Response.from_value({"runs": runs, "errors": {}})

    def _remove_tags(self, request: Request, names: Names) -> Response:
        tags = request.json()
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise Refusal(400, "Expected a list of tag names")
        return Response.from_value(self._runs.remove_tags(names["run"], tags))

    def _details(self, request: Request, names: Names) -> Response:
        run = self._runs.get(names["run"])
        lists: dict[str, Any] = {"inputDatasets": [], "outputDatasets": [], "runDefinition": {}}
        logs = {"logFiles": dict(self._log_addresses(run["dataContainerId"]))}
        names_of_run = ("runId", "target", "status", "startTimeUtc", "endTimeUtc", "error", "properties")
        return Response.from_value({**lists, **logs, **{name: run.get(name) for name in names_of_run}})

    def _token(self, request: Request, names: Names) -> Response:
        token, expiry = self._tokens.issue(self._runs.get(names["run"])["runId"])
        return Response.from_value(
            {"token": token, "expiryTimeUtc": datetime.fromtimestamp(expiry, timezone.utc).isoformat()}
        )

    def _children(self, request: Request, names: Names) -> Response:
        return _page(self._runs.children_of(names["run"]))

    def _event(self, request: Request, names: Names) -> Response:
        self._apply(names["run"], _object(request.json()))
        return Response()

    def _events(self, request: Request, names: Names) -> Response:
        events = _objects(_object(request.json()).get("events"))
        run_ids = [str(_object(event.get("data")).get("RunId")) for event in events]
        for run_id in run_ids:
            check_related(self._runs, request.run_id, run_id)
        for run_id, event in zip(run_ids, events):
            self._apply(run_id, event)
        return Response.from_value({"errors": []})

    def _apply(self, run_id: str, event: Mapping[str, Any]) -> None:
        self._runs.apply_event(run_id, str(event.get("name")), _object(event.get("data") or {}))

    def _wait(self, request: Request, names: Names) -> Response:
        self._runs.get(names["run"])
        return Response()

    def _experiment(self, request: Request, names: Names) -> Response:
        runs = self._runs.related_to(request.run_id)
        run = next((run for run in runs if names["experiment"] in _experiment(run)), None)
        if run is None:
            raise Refusal(404, f"Experiment {names['experiment']} was not found")
        return Response.from_value(
            {"experimentId": run["experimentId"], "name": run["experimentName"], "tags": {}}
        )

    def _query(self, request: Request, names: Names) -> Response:
        clauses = _clauses(str(_object(request.json()).get("filter") or ""))
        experiment = names.get("experiment")
        related = self._runs.related_to(request.run_id)
        runs = [run for run in related if experiment is None or experiment in _experiment(run)]
        return _page([run for run in reversed(runs) if all(_matches(run, *clause) for clause in clauses)])

    def _post_metrics(self, request: Request, names: Names) -> Response:
        return self._post(request, names["run"], _objects(_object(self._json(request)).get("values")))

    def _post_old_metrics(self, request: Request, names: Names) -> Response:
        return self._post(
            request,
            names["run"],
            [_from_old(metric) for metric in _objects(_object(self._json(request)).get("values"))],
        )

    def _post_old_metric(self, request: Request, names: Names) -> Response:
        return self._post(request, names["run"], [_from_old(_object(self._json(request)))])

    def _json(self, request: Request) -> Any:
        return request.json() if self._metrics.is_strict else request.json_with_nan()

    def _post(self, request: Request, run_id: str, batch: list[dict[str, Any]]) -> Response:
        self._runs.get(run_id)
        if len(batch) > BATCH_MAX:
            raise Refusal(400, f"Too many metrics in a batch: expected at most {BATCH_MAX}")
        return Response.from_value(
            {"errors": self._metrics.post(run_id, batch, request.fault.verdict if request.fault else None)}
        )

    def _list_metrics(self, request: Request, names: Names) -> Response:
        return _page(
            [
                {"metricKey": {"name": name}}
                for name in self._metrics.names(self._runs.get(names["run"])["runId"])
            ]
        )

    def _full_metric(self, request: Request, names: Names) -> Response:
        metric = self._metrics.merged(names["run"], str(_object(request.json()).get("metricName")))
        if metric is None:
            raise Refusal(404, "The run has no such metric")
        return Response.from_value(metric)

    def _experiment_name(self, names: Names) -> str:
        known = (run for run in self._runs.all() if run["experimentId"] == names["experiment"])
        return str(next(known, {"experimentName": names["experiment"]})["experimentName"])


def _experiment(run: Run) -> tuple[str, str]:
    return run["experimentId"], run["experimentName"]


def _page(values: Sequence[object]) -> Response:
    return Response.from_value({"value": values, "continuationToken": None})


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(400, "Expected a JSON object")
    return value


def _objects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise Refusal(400, "Expected a JSON list")
    return [_object(item) for item in value]


def _clauses(text: str) -> list[tuple[str, str, str]]:
    parts = [part.strip().strip("()") for part in re.split(r"\s+and\s+", text) if part.strip()]
    matches = [_CLAUSE.fullmatch(part) for part in parts]
    if not all(matches):
        raise Refusal(400, f"The local Azure does not support this filter: {text[:200]}")
    return [(match[1], match[2].lower(), match[3].strip()) for match in matches if match]


def _matches(run: Run, name: str, operator: str, value: str) -> bool:
    key = name[0].lower() + name[1:]
    return (run.get(key) == value) == (operator == "eq")


def _from_old(metric: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a metric in the format of version 1 of the service to version 2."""
    schema = _objects(_object(metric.get("schema") or {}).get("properties") or [])
    common = {"metricId": metric.get("metricId"), "createdUtc": metric.get("createdUtc")}
    return {
        "name": metric.get("name"),
        "columns": {str(column.get("name")): str(column.get("type")) for column in schema},
        "value": [{**common, "data": cell} for cell in _objects(metric.get("cells") or [])],
        "properties": {"uxMetricType": metric.get("metricType")},
    }
