"""What setup() found out, and every record of the process carries.

In: identity, settings. Out: a frozen `Stamp`: the addressee, the tags, the dimensions.
"""

from __future__ import annotations

import multiprocessing
import platform
from typing import NamedTuple

from amllog.__version__ import __version__
from amllog.config.settings import Settings
from amllog.context.identity import Identity
from amllog.record.dimensions import to_dimensions
from amllog.record.envelope import Sender
from amllog.record.redaction import Redactor


class Resource(NamedTuple):
    """Who speaks, to whom, and with which dimensions."""

    identity: Identity
    sender: Sender
    dimensions: dict[str, str]
    insights_level: int


def resource_of(identity: Identity, settings: Settings, redactor: Redactor) -> Resource:
    """The stamp of this process."""
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
    )
