"""azureml-core's own Run, as the courier uses it: the only file that imports azureml.

In: the environment of a job, a run of azureml's. Out: the run and its facts, a twin with clients of its own, a way
to post metrics.

azureml's clients retry for minutes (32·2ⁿ seconds after a 429) and log every request; so the courier's twin has
neither, and posts metrics by the generated operation below azureml's queue. That is private API: it is tested for,
and the public methods are used where it is missing.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from amllog.exporters.http_deadline import CONNECT_SECONDS, bound_responses
from amllog.exporters.run_metrics import metric_lines
from amllog.exporters.run_metrics.azureml_addresses import cache_addresses
from amllog.exporters.run_metrics.run_info import RunInfo
from amllog.process import safe_import

# Sends posts to a run within so many seconds; the answer as requests gives it.
MetricPost = Callable[[str, Sequence[metric_lines.MetricPost], float], Any]


def load() -> None:
    """Import azureml-core: a second, or several the first time on a machine, but no network."""
    with safe_import.ordinary_process(), _quiet_root():
        importlib.import_module("azureml.core")


def run_context() -> tuple[Any, RunInfo]:
    """Return the job's run and its properties: at most the discovery request and one for the run.

    Raises RunEnvironmentException outside a job, ImportError, errors of requests (after its time, without a bound).
    """
    with _quiet_root():
        from azureml.core import Run

        cache_addresses()
        run = Run.get_context(allow_offline=False)
    return run, _run_info(run)


def _run_info(run: Any) -> RunInfo:
    """Return the properties that azureml's run has loaded."""
    dto: Mapping[str, Any] = run._run_dto
    parent = dto.get("parent_run_id") or ""
    url = str(getattr(run, "_run_details_url", ""))
    return RunInfo(
        parent_run_id=parent,
        root_run_id=dto.get("root_run_id") or parent or run.id,
        step_name=dto.get("display_name") or dto.get("name") or "",
        experiment_name=run.experiment.name,
        run_url=url.replace(f"/runs/{run.id}", f"/runs/{parent}") if parent else url,
        properties=dict(dto.get("properties") or {}),
    )


def private(run: Any) -> Any:
    """The same run with clients of its own: no retries, no logging of requests, connections that are kept.

    Authentication and its refreshing stay the run's. If azureml has changed, the run itself.
    """
    try:
        from azureml.core import Experiment, Run, Workspace

        shared = run.experiment.workspace.service_context
        own = copy.copy(shared)
        for name in [name for name in vars(own) if name.endswith("_restclient")]:
            setattr(own, name, None)
        with _quiet_root():
            workspace = Workspace._from_service_context(own, run.experiment.workspace.location)
            options = {"_skip_name_validation": True, "_create_in_cloud": False}
            experiment = Experiment(workspace, run.experiment.name, _id=run.experiment.id, **options)
            twin = Run(experiment, run.id, _run_dto=run._client.run_dto, clean_up=False)
        for client in _clients(twin):
            client.retries = 0
            client._client.config.keep_alive = True
            client._client._client.close  # noqa: B018  # an AttributeError here, not at the end
        twin._client.metrics._amllog_private = True
        bound(twin, CONNECT_SECONDS)  # the same
    except (ImportError, AttributeError, TypeError) as error:
        logging.getLogger(__name__).debug("azureml has changed (%s): its run's own clients are used", error)
        return run
    return twin


def _clients(run: Any) -> list[Any]:
    return [run._client.run, run._client.metrics, run._client.artifacts]


def other(run: Any, run_id: str) -> Any:
    """Another run of the same experiment, by one request through the clients of `run`."""
    if run_id == run.id:
        return run
    client = run._client.run
    dto = super(type(client), client).get_run(run_id)  # RunClient's own get_run knows one run only
    with _quiet_root():
        found = type(run)(run.experiment, run_id, _run_dto=dto, clean_up=False)
    found._client.metrics._amllog_private = is_private(run)
    return found


def bound(run: Any, seconds: float) -> None:
    """No request of this twin waits longer for the far side's whole answer, and none is sent on to another host."""
    if is_private(run):
        for config in [client._client.config for client in _clients(run)]:
            config.connection.timeout = _timeout(seconds)
            config.redirect_policy.allow = False
            config.enable_http_logger = False  # each new client of azureml's switches it on
            bound_responses(config.pipeline._sender.driver.session)  # each thread has its own


def is_private(run: Any) -> bool:
    """Whether the run is a twin made by `private`."""
    return bool(getattr(getattr(getattr(run, "_client", None), "metrics", None), "_amllog_private", False))


def close(run: Any) -> None:
    """Let go of a twin's connections."""
    if is_private(run):
        for client in _clients(run):
            client._client._client.close()


def poster(run: Any) -> MetricPost | None:
    """A way to post metrics below azureml's queue and its retries; None if this azureml has no such way."""
    try:
        from azureml._restclient.models.batch_metric_v2_dto import BatchMetricV2Dto

        client = run._client.metrics
        operation, scope = client._client.metric.post_run_metrics, list(client._workspace_arguments)
    except (ImportError, AttributeError):
        return None

    def post(run_id: str, posts: Sequence[metric_lines.MetricPost], seconds: float) -> Any:
        bound(run, seconds)
        batch = BatchMetricV2Dto(values=[_dto(post) for post in posts], report_errors=True)
        return operation(*scope, run_id, batch, raw=True, timeout=_timeout(seconds)).response

    return post


def log_publicly(run: Any, run_id: str, posts: Sequence[metric_lines.MetricPost], seconds: float) -> None:
    """Log through public methods alone; one flush, bounded by azureml's own timeout."""
    target = run if run_id == run.id else type(run).get(run.experiment.workspace, run_id)
    for post in posts:
        columns = {name: [row[at] for row in post.rows] for at, name in enumerate(post.columns)}
        if post.type.endswith(".scalar"):
            target.log(post.name, columns[post.name][0], step=post.step)
        elif post.type.endswith(".list"):
            target.log_list(post.name, columns[post.name])
        else:
            target.log_table(post.name, columns)
    target.flush(timeout_seconds=max(1, int(seconds)))


class Blobs(NamedTuple):
    """azureml's storage client."""

    parts_of: Callable[[str], tuple[str, str, str, str, str]]  # of an address
    client: Any
    settings: Any
    transport: Any


def blobs() -> Blobs | None:
    """The storage client that azureml uploads with; None if it has changed."""
    try:
        from azure.core.pipeline.transport import RequestsTransport
        from azureml._file_utils.upload import get_block_blob_service_credentials
        from azureml._vendor.azure_storage.blob import BlobServiceClient, ContentSettings
    except ImportError:
        return None
    return Blobs(get_block_blob_service_credentials, BlobServiceClient, ContentSettings, RequestsTransport)


class MetricsClasses(NamedTuple):
    """azureml's classes that a script's metrics pass through."""

    client: Any  # MetricsClient
    queue: Any  # BatchTaskQueue


def metrics_classes() -> MetricsClasses | None:
    """The classes that a script's metrics pass through; None without azureml, or if it has changed."""
    try:
        from azureml._async import BatchTaskQueue
        from azureml._restclient.metrics_client import MetricsClient
    except ImportError:
        return None
    return MetricsClasses(MetricsClient, BatchTaskQueue)


def metrics_clients() -> list[Any]:
    """The metrics clients of every run that this process holds (azureml keeps a list for its own end)."""
    from azureml._run_impl.run_base import _RunBase

    handlers = list(getattr(getattr(_RunBase, "_registered_kill_handlers", None), "queue", ()))
    runs = [getattr(handler, "__self__", None) for handler in handlers]
    clients = [getattr(getattr(run, "_client", None), "metrics", None) for run in runs]
    return [client for client in clients if client is not None]


def _timeout(seconds: float) -> tuple[float, float]:
    return min(CONNECT_SECONDS, seconds), seconds


def _dto(post: metric_lines.MetricPost) -> Any:
    from azureml._restclient.models.metric_properties import MetricProperties
    from azureml._restclient.models.metric_v2_dto import MetricV2Dto
    from azureml._restclient.models.metric_v2_value import MetricV2Value

    properties = MetricProperties(ux_metric_type=post.type)
    values = [MetricV2Value(**value) for value in post.values()]
    return MetricV2Dto(name=post.name, columns=post.columns, value=values, properties=properties)


@contextlib.contextmanager
def _quiet_root() -> Iterator[None]:
    """azureml calls `logging.warn` here and there, which would give the root logger a handler nobody asked for."""
    root, keeper = logging.getLogger(), logging.NullHandler()
    root.addHandler(keeper)
    try:
        yield
    finally:
        root.removeHandler(keeper)
