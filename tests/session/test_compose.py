"""The parts of a session, built from settings and identity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from amllog.config.settings import resolve_settings
from amllog.context.detector import RunDetector
from amllog.context.identity import is_job
from amllog.delivery.outbox import Outbox
from amllog.session import compose

KEY = "00000000-0000-0000-0000-0000000010ca"
JOB = {"AZUREML_RUN_ID": "run_1", "AZUREML_RUN_TOKEN": "token"}


def compose_parts(environ: Mapping[str, str], **arguments: object) -> tuple[compose.Parts, list[str]]:
    """Return the parts of a session with these settings, and the notices."""
    notices: list[str] = []
    settings = resolve_settings({**arguments}, environ, in_job=is_job(environ))
    detector = RunDetector(environ, lambda message, level=0: notices.append(message))
    identity = detector.from_environment(settings)
    outbox = Outbox(lambda message, level=0: notices.append(message))
    parts = compose.compose(
        settings, identity, environ, outbox, detector, since=0.0, credential=None, notice=notices.append
    )
    return parts, notices


def test_nothing_configured() -> None:
    """Without a connection string there is no exporter, and a later notice names the variable."""
    parts, notices = compose_parts({})
    (notice,) = parts.notices
    assert notices == []
    assert (parts.exporters, parts.resource.run.online, parts.resource.sender.key) == ([], False, "")
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING" in notice


def test_application_insights() -> None:
    """With a connection string, records are sent to its resource, without a notice."""
    parts, notices = compose_parts({}, connection_string=KEY, dimensions={"team": "nlp"})
    assert ([exporter.name for exporter in parts.exporters], notices) == (["app_insights"], [])
    assert (parts.resource.sender.key, parts.resource.dimensions["team"]) == (KEY, "nlp")


@pytest.mark.parametrize(
    ("arguments", "environ", "kind"),
    [
        ({}, {}, "none"),
        ({}, {"MLFLOW_TRACKING_URI": ""}, "none"),
        ({"metrics": "azureml"}, {}, "azureml"),
        ({"metrics": "none"}, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, "none"),
    ],
)
def test_metrics_kind(arguments: dict[str, object], environ: dict[str, str], kind: str) -> None:
    """The setting `metrics` wins over the environment."""
    assert compose.metrics_kind(resolve_settings(arguments, {}, in_job=False), environ) == kind


@pytest.mark.parametrize(
    ("rank", "ranks", "online"), [("0", "0", True), ("1", "0", False), ("1", "all", True)]
)
def test_run_metrics_of_a_rank(rank: str, ranks: str, online: bool, tmp_path: Path) -> None:
    """Metrics of the first rank are addressed to run history, those of others only with `metrics_ranks=all`."""
    parts, _ = compose_parts({"RANK": rank}, metrics="azureml", metrics_ranks=ranks, directory=tmp_path)
    assert [exporter.name for exporter in parts.exporters] == ["run_metrics"]
    assert (parts.resource.run.online, parts.resource.run.ends_run) == (online, False)
