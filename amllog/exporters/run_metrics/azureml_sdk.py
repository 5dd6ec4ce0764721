"""The adapter of azureml: its `Run`, a private copy of it for delivery, and its storage client.

azureml's clients retry for minutes (32·2ⁿ seconds after a 429) and log every request. So the delivery worker uses a
copy of the run whose clients do neither. The copy posts metrics with the generated operation below azureml's queue.
This is a private interface, so its presence is checked, and without it the public methods are used.
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

# Post metrics to the run of an id within so many seconds. Return the response of requests.
PostMetrics = Callable[[str, Sequence[metric_lines.MetricPost], float], Any]


def load() -> None:
    """Import azureml-core. Takes a second, or several the first time on a machine, and no network."""
    with safe_import.ordinary_process(), _quiet_root():
        importlib.import_module("azureml.core")


def run_context() -> tuple[Any, RunInfo]:
    """Return the run of the job and its properties. Sends at most the discovery request and one for the run.

    Raises RunEnvironmentException outside a job, ImportError, and errors of requests, after an unlimited time.
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


def private_copy(run: Any) -> Any:
    """Return a copy of the run whose clients do not retry, do not log requests, and keep their connections.

    Authentication and its renewal are shared with the run. If azureml has changed, the run itself is returned.
    """
    try:
        from azureml.core import Experiment, Run, Workspace

        shared = run.experiment.workspace.service_context
        context = copy.copy(shared)
        for name in [name for name in vars(context) if name.endswith("_restclient")]:
            setattr(context, name, None)
        with _quiet_root():
            workspace = Workspace._from_service_context(context, run.experiment.workspace.location)
            options = {"_skip_name_validation": True, "_create_in_cloud": False}
            experiment = Experiment(workspace, run.experiment.name, _id=run.experiment.id, **options)
            copied = Run(experiment, run.id, _run_dto=run._client.run_dto, clean_up=False)
        for client in _clients(copied):
            client.retries = 0
            client._client.config.keep_alive = True
            client._client._client.close  # noqa: B018  # an AttributeError now instead of in close()
        copied._client.metrics._amllog_private = True
        limit_requests(copied, CONNECT_SECONDS)  # raises AttributeError here, too
    except (ImportError, AttributeError, TypeError) as error:
        logging.getLogger(__name__).debug("azureml has changed (%s): the clients of its run are used", error)
        return run
    return copied


def _clients(run: Any) -> list[Any]:
    return [run._client.run, run._client.metrics, run._client.artifacts]


def other_run(run: Any, run_id: str) -> Any:
    """Return another run of the same experiment. Sends one request with the clients of `run`."""
    if run_id == run.id:
        return run
    client = run._client.run
    dto = super(type(client), client).get_run(run_id)  # RunClient overrides get_run for one run
    with _quiet_root():
        other = type(run)(run.experiment, run_id, _run_dto=dto, clean_up=False)
    other._client.metrics._amllog_private = is_private(run)
    return other


def limit_requests(run: Any, seconds: float) -> None:
    """Limit the time of each whole response for a private copy, and follow no redirect. Other runs are unchanged."""
    if is_private(run):
        for config in [client._client.config for client in _clients(run)]:
            config.connection.timeout = _timeout(seconds)
            config.redirect_policy.allow = False
            config.enable_http_logger = False  # every new client of azureml enables it
            bound_responses(config.pipeline._sender.driver.session)  # one session per thread


def is_private(run: Any) -> bool:
    """Return whether the run was returned by `private_copy`."""
    return bool(getattr(getattr(getattr(run, "_client", None), "metrics", None), "_amllog_private", False))


def close(run: Any) -> None:
    """Close the connections of a private copy."""
    if is_private(run):
        for client in _clients(run):
            client._client._client.close()


def metric_poster(run: Any) -> PostMetrics | None:
    """Return a function that posts metrics below azureml's queue and retries. None if azureml has changed."""
    try:
        from azureml._restclient.models.batch_metric_v2_dto import BatchMetricV2Dto

        client = run._client.metrics
        operation, scope = client._client.metric.post_run_metrics, list(client._workspace_arguments)
    except (ImportError, AttributeError):
        return None

    def post(run_id: str, posts: Sequence[metric_lines.MetricPost], seconds: float) -> Any:
        limit_requests(run, seconds)
        batch = BatchMetricV2Dto(values=[_dto(post) for post in posts], report_errors=True)
        return operation(*scope, run_id, batch, raw=True, timeout=_timeout(seconds)).response

    return post


def log_publicly(run: Any, run_id: str, posts: Sequence[metric_lines.MetricPost], seconds: float) -> None:
    """Log metrics with public methods only. Flush once, with azureml's timeout."""
    target = run if run_id == run.id else type(run).get(run.experiment.workspace, run_id)
    for post in posts:
        columns = {name: [row[index] for row in post.rows] for index, name in enumerate(post.columns)}
        if post.type.endswith(".scalar"):
            target.log(post.name, columns[post.name][0], step=post.step)
        elif post.type.endswith(".list"):
            target.log_list(post.name, columns[post.name])
        else:
            target.log_table(post.name, columns)
    target.flush(timeout_seconds=max(1, int(seconds)))


class StorageClient(NamedTuple):
    """The storage client of azureml, with its classes for settings and transport."""

    split_address: Callable[[str], tuple[str, str, str, str, str]]
    client: Any
    settings: Any
    transport: Any


def storage() -> StorageClient | None:
    """Return the storage client that azureml uploads with. None if azureml has changed."""
    try:
        from azure.core.pipeline.transport import RequestsTransport
        from azureml._file_utils.upload import get_block_blob_service_credentials
        from azureml._vendor.azure_storage.blob import BlobServiceClient, ContentSettings
    except ImportError:
        return None
    return StorageClient(
        get_block_blob_service_credentials, BlobServiceClient, ContentSettings, RequestsTransport
    )


class MetricsClasses(NamedTuple):
    """The classes of azureml that process the metrics of a script."""

    client: Any  # MetricsClient
    queue: Any  # BatchTaskQueue


def metrics_classes() -> MetricsClasses | None:
    """Return the classes that process a script's metrics. None without azureml, or if it has changed."""
    try:
        from azureml._async import BatchTaskQueue
        from azureml._restclient.metrics_client import MetricsClient
    except ImportError:
        return None
    return MetricsClasses(MetricsClient, BatchTaskQueue)


def metrics_clients() -> list[Any]:
    """Return the metrics clients of every run in this process. azureml keeps a list of the runs for its exit."""
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
    """Add a temporary handler to the root logger. Otherwise azureml's calls of `logging.warn` add a permanent one."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
