"""Build the exporters, the resource and the driver log of a session from settings and identity.

Nothing is changed here: the session puts the parts into effect. A third-party package is imported on first use.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from amllog.config.settings import Settings, find_secrets
from amllog.context.detector import RunDetector
from amllog.context.identity import Identity, may_be_online
from amllog.delivery.exporter import Exporter
from amllog.delivery.outbox import Outbox
from amllog.errors import MissingExtraError
from amllog.exporters.driver_log import DriverLog
from amllog.journal.artifact_copies import Directories
from amllog.process import interrupts
from amllog.record.dimensions import to_dimensions
from amllog.record.redaction import Redactor
from amllog.sources.artifact_copying import ArtifactCopier
from amllog.sources.resource import Resource, RunTarget, build_resource

_NOT_CONNECTED = "no connection string (APPLICATIONINSIGHTS_CONNECTION_STRING): records stay in the journal"


class Parts(NamedTuple):
    """The parts of a session that depend on its settings."""

    # In the order in which they are fed.
    exporters: Sequence[Exporter]
    resource: Resource
    driver_log: DriverLog
    redactor: Redactor


def compose(
    settings: Settings,
    identity: Identity,
    environ: Mapping[str, str],
    outbox: Outbox,
    detector: RunDetector,
    *,
    since: float,
    credential: Any,
    notice: Callable[[str], object],
) -> Parts:
    """Return the parts of a session. The outbox is open.

    `since`: the time at which this process began to record. `credential`: the token credential of a handler that was
    taken over. `notice` prints a message once, in the driver log.
    """
    exporter, metrics = exporter_kind(settings), metrics_kind(settings, environ)
    copier = ArtifactCopier(outbox.current_journal, outbox.directory, settings.journal_max_bytes)
    exporters: list[Exporter] = []
    if exporter != "none":
        exporters.append(insights_exporter(settings, exporter, since, credential, notice))
    elif settings.exporter != "none":
        notice(f"{_NOT_CONNECTED}, {outbox.directory}")
    if metrics != "none":
        exporters.append(
            metrics_exporter(
                metrics, outbox.directory, detector.azureml_run, detector.connect, identity.step_id, environ,
                copier.directories,
            )
        )  # fmt: skip
    online = metrics != "none" and writes_run_metrics(settings, identity)
    redactor = Redactor(settings.redact, find_secrets(environ, settings.connection_string))
    run = RunTarget(online, online and metrics == "mlflow", copier)
    return Parts(
        exporters,
        build_resource(identity, settings, redactor, outbox.directory, run),
        DriverLog(
            settings.driver_format, settings.driver_level, to_dimensions(identity.dimensions(), redactor)
        ),
        redactor,
    )


def exporter_kind(settings: Settings) -> str:
    """Return which exporter sends records to Application Insights: `opencensus`, `opentelemetry` or `none`."""
    if settings.connection_string is None:
        return "none"
    return "opencensus" if settings.exporter == "auto" else settings.exporter


def check_packages(settings: Settings) -> None:
    """Raise MissingExtraError if a package that the settings need is not installed."""
    if exporter_kind(settings) == "opentelemetry" and not _installed("azure.monitor.opentelemetry.exporter"):
        raise MissingExtraError("azure-monitor-opentelemetry-exporter", "opentelemetry")
    if settings.metrics == "mlflow" and not _installed("mlflow"):
        raise MissingExtraError("mlflow-skinny", "mlflow")


def metrics_kind(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return which exporter sends run metrics: `azureml`, `mlflow` or `none`."""
    if settings.metrics != "auto":
        return settings.metrics
    if may_be_online(environ):
        return "azureml"
    if environ.get("MLFLOW_TRACKING_URI") and _installed("mlflow"):
        return "mlflow"
    return "none"


def writes_run_metrics(settings: Settings, identity: Identity) -> bool:
    """Return whether the metrics of this rank are addressed to run history."""
    return settings.metrics_ranks == "all" or identity.rank in (None, 0)


def insights_exporter(
    settings: Settings,
    exporter: str,
    since: float,
    credential: Any = None,
    notice: Callable[[str], object] | None = None,
) -> Exporter:
    """Return the exporter to Application Insights.

    `since`: records without a key that are not older are sent as well. `credential`: one of azure.identity, if the
    resource needs a token. `notice` prints a message once, in the driver log.
    """
    assert settings.connection_string is not None
    if exporter == "opentelemetry":
        from amllog.exporters.app_insights.otel_exporter import OpenTelemetryExporter

        return OpenTelemetryExporter(
            settings.connection_string, credential=credential, since=since, notice=notice
        )
    from amllog.exporters.app_insights.http_exporter import AppInsightsExporter

    return AppInsightsExporter(settings.connection_string, credential=credential, since=since, notice=notice)


def metrics_exporter(
    kind: str,
    directory: Path,
    run: Any,
    connect: Callable[[float], Any],
    step_id: str = "",
    environ: Mapping[str, str] | None = None,
    directories: Directories | None = None,
) -> Exporter:
    """Return the exporter of run metrics. `connect` returns azureml's run later, if it is not known yet.

    `step_id`, `environ`: those of the process whose metrics belong to the MLflow run that its environment names.
    `directories` returns the directories of copied files, if the journal may move to another one than `directory`.
    """
    if kind == "mlflow":
        from amllog.exporters.run_metrics.mlflow_exporter import MLflowExporter

        return MLflowExporter(directory, step_id=step_id, environ=environ, directories=directories)
    from amllog.exporters.run_metrics.azureml_exporter import AzureMLExporter

    return AzureMLExporter(directory, run, connect, directories)


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ModuleNotFoundError, ValueError) as error:  # its parent is missing, or sys.modules has a fake
        interrupts.pass_on(error)
        return False
