"""Build the exporters, the resource and the driver log of a session from settings and identity.

Nothing is changed here: the session puts the parts into effect. A third-party package is imported on first use.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from amllog.config.parsers import ConnectionString
from amllog.config.settings import Settings, find_secrets, resolve_settings, with_connection
from amllog.config.settings_table import BY_NAME
from amllog.config.variables import LOCAL_AUTHORITIES
from amllog.context.detector import RunDetector
from amllog.context.identity import Identity, is_job, may_be_online
from amllog.delivery.exporter import Exporter
from amllog.delivery.outbox import Outbox
from amllog.errors import AmllogError, MissingExtraError, Problem
from amllog.exporters.driver_log import DriverLog
from amllog.exporters.no_destination import NoDestination
from amllog.journal.artifact_copies import Directories
from amllog.journal.outlets import APP_INSIGHTS, RUN_METRICS
from amllog.process import interrupts, safe_import
from amllog.record.dimensions import to_dimensions
from amllog.record.error_cause import describe
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
    notices: Sequence[str]  # to be printed when the captures are installed


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
    in_worker: bool = False,
) -> Parts:
    """Return the parts of a session. The outbox is open.

    `since`: the time at which this process began to record. `credential`: the token credential of a handler that was
    taken over. `notice` prints a message once, in the driver log. `in_worker`: the step delivers what this process does
    not.
    """
    exporter, metrics = exporter_kind(settings), metrics_kind(settings, environ)
    copier = ArtifactCopier(outbox.current_journal, outbox.directory, settings.journal_max_bytes)
    exporters: list[Exporter] = []
    later: list[str] = []
    if exporter != "none":

        def to_insights() -> Exporter:
            return insights_exporter(settings, exporter, since, credential, notice)

        exporters.append(_available(APP_INSIGHTS, to_insights, settings, notice))
    elif settings.exporter != "none" and settings.is_invalid("connection_string"):
        exporters.append(NoDestination(APP_INSIGHTS))
    elif settings.exporter != "none" and not in_worker:
        later.append(f"{_NOT_CONNECTED}, {outbox.directory}")
    if metrics != "none":

        def to_run() -> Exporter:
            return metrics_exporter(
                metrics, outbox.directory, detector.azureml_run, detector.connect, identity.step_id, environ,
                copier.directories,
            )  # fmt: skip

        exporters.append(_available(RUN_METRICS, to_run, settings, notice))
    online = metrics != "none" and writes_run_metrics(settings, identity)
    redactor = Redactor(settings.redact, find_secrets(environ, settings.connection_string))
    run = RunTarget(online, online and metrics == "mlflow", copier)
    return Parts(
        exporters,
        build_resource(identity, settings, redactor, outbox.directory, run),
        DriverLog(
            settings.driver_format,
            settings.driver_level,
            to_dimensions(identity.dimensions(), redactor),
            environ.get("TERM", ""),
        ),
        redactor,
        later,
    )


def exporter_kind(settings: Settings) -> str:
    """Return which exporter sends records to Application Insights: `opencensus`, `opentelemetry` or `none`."""
    if settings.connection_string is None:
        return "none"
    return "opencensus" if settings.exporter == "auto" else settings.exporter


def read_settings(
    arguments: Mapping[str, object], environ: Mapping[str, str], taken_over: ConnectionString | None = None
) -> Settings:
    """Return the settings, without exporters whose package is not installed.

    `taken_over`: the resource of a script's own handler, if there is no other connection string. Raise ConfigError if
    a value is invalid, and MissingExtraError for an exporter of the arguments, or if invalid variables raise.
    """
    settings = resolve_settings(arguments, environ, in_job=is_job(environ))
    if settings.connection_string is None and taken_over is not None:
        settings = with_connection(settings, taken_over)
    if exporter_kind(settings) == "opentelemetry" and not _installed("azure.monitor.opentelemetry.exporter"):
        error = MissingExtraError("azure-monitor-opentelemetry-exporter", "opentelemetry")
        settings = replace(_with_problem(settings, "exporter", arguments, error), exporter="auto")
    if settings.metrics == "mlflow" and not _installed("mlflow"):
        error = MissingExtraError("mlflow-skinny", "mlflow")
        settings = replace(_with_problem(settings, "metrics", arguments, error), metrics="auto")
    return settings


def _with_problem(
    settings: Settings, name: str, arguments: Mapping[str, object], error: MissingExtraError
) -> Settings:
    """Return the settings with the problem that a package is missing. Raise the error if it may not be ignored."""
    if settings.strict or arguments.get(name) is not None:
        raise error
    problem = Problem(BY_NAME[name].variables[0], getattr(settings, name), str(error))
    return replace(settings, problems=(*settings.problems, problem))


def _available(
    outlet: str, make: Callable[[], Exporter], settings: Settings, notice: Callable[[str], object]
) -> Exporter:
    """Return the exporter that `make` returns. If its package raises an error, the records of the outlet wait.

    Raises AmllogError if the settings are strict and the package is of another version.
    """

    def report(error: BaseException) -> None:
        if settings.strict and isinstance(error, AmllogError):
            raise error
        notice(f"{outlet} is not available ({describe(error)}): its records wait in the journal")

    return safe_import.attempt(make, report) or NoDestination(outlet)


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

    `step_id`, `environ`: those of the process whose metrics belong to the MLflow run that its environment names. The
    environment of `amllog serve` also names the certificate authorities for uploads.
    `directories` returns the directories of copied files, if the journal may move to another one than `directory`.
    """
    if kind == "mlflow":
        from amllog.exporters.run_metrics.mlflow_exporter import MLflowExporter

        return MLflowExporter(directory, step_id=step_id, environ=environ, directories=directories)
    from amllog.exporters.run_metrics.azureml_exporter import AzureMLExporter

    authorities = (environ or {}).get(LOCAL_AUTHORITIES, "")
    return AzureMLExporter(directory, run, connect, directories, authorities)


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ModuleNotFoundError, ValueError) as error:  # its parent is missing, or sys.modules has a fake
        interrupts.pass_on(error)
        return False
