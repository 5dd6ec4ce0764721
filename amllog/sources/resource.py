"""The attributes that every record of a process shares, as setup() has determined them."""

from __future__ import annotations

import multiprocessing
import platform
from dataclasses import dataclass, field
from pathlib import Path

from amllog.__version__ import __version__
from amllog.config.settings import Settings
from amllog.context.identity import Identity
from amllog.record.dimensions import to_dimensions
from amllog.record.envelope import Sender
from amllog.record.redaction import Redactor
from amllog.sources.artifact_copying import ArtifactCopier


@dataclass(frozen=True)
class RunTarget:
    """The destination of this process's run metrics and files."""

    # Metrics are addressed to run history.
    online: bool = False
    # amllog ends the run in run history. In a job, the service does.
    ends_run: bool = False
    # Copies the files of the run beside the journal.
    copier: ArtifactCopier | None = None


@dataclass(frozen=True)
class Resource:
    """The sender of the records, their common dimensions and their destinations."""

    identity: Identity
    sender: Sender
    dimensions: dict[str, str]
    # Records below this level are not sent to Application Insights.
    insights_level: int
    # The journal directory.
    directory: Path = field(default_factory=Path)
    run: RunTarget = field(default_factory=RunTarget)


def build_resource(
    identity: Identity,
    settings: Settings,
    redactor: Redactor,
    directory: Path | None = None,
    run: RunTarget | None = None,
) -> Resource:
    """Return the resource of this process."""
    target = settings.connection_string
    tags = {
        "ai.cloud.role": redactor.mask_and_truncate(identity.step_name, 256),
        "ai.cloud.roleInstance": identity.node[:256],
        "ai.internal.sdkVersion": f"py{platform.python_version()}:amllog{__version__}"[:64],
        "ai.operation.name": redactor.mask_and_truncate(identity.step_name, 1024),
    }
    if identity.build_version:
        tags["ai.application.ver"] = redactor.mask_and_truncate(identity.build_version, 1024)
    process = {"process": multiprocessing.current_process().name}
    return Resource(
        identity,
        Sender(target.instrumentation_key if target else "", tags),
        to_dimensions({**identity.dimensions(), **process, **settings.dimensions}, redactor),
        settings.insights_level,
        directory or Path(),
        run or RunTarget(),
    )
