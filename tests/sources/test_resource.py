"""The attributes that all records of a process share."""

from __future__ import annotations

from amllog.config.settings import resolve_settings
from amllog.context.identity import Identity
from amllog.record.redaction import Redactor
from amllog.sources.resource import build_resource

KEY = "00000000-0000-0000-0000-0000000010ca"
IDENTITY = Identity(
    step_id="s", parent_run_id="p", root_run_id="p", step_name="password=hunter22", experiment_name="digits",
    run_url="u", run_type="", build_url="", build_version="1.2", node="n", rank=None, in_job=False,
    operation_id="0" * 32, span_id="1" * 16, parent_span_id="",
)  # fmt: skip


def test_resource() -> None:
    """Tags and dimensions come from the identity and the settings, with secrets masked."""
    settings = resolve_settings(
        {"connection_string": KEY, "dimensions": {"team": "nlp", "api_key": "hunter22"}}, {}, in_job=False
    )
    resource = build_resource(IDENTITY, settings, Redactor())
    assert resource.sender.key == KEY
    assert resource.sender.tags["ai.cloud.role"] == "password=***"
    assert (resource.sender.tags["ai.cloud.roleInstance"], resource.sender.tags["ai.application.ver"]) == (
        "n",
        "1.2",
    )
    assert {"step_id": "s", "process": "MainProcess", "team": "nlp"}.items() <= resource.dimensions.items()
    assert "hunter22" not in str(resource.dimensions)
    assert (resource.run.online, resource.run.copier) == (False, None)
