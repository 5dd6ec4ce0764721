"""The configuration of a session: the settings, the identity and the directory of the journal.

Nothing is changed here, except that the detector keeps the identity.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import NamedTuple

from amllog.config.parsers import ConnectionString
from amllog.config.settings import Settings
from amllog.context import environment
from amllog.context.detector import RunDetector
from amllog.context.identity import Identity, default_directory
from amllog.session import compose
from amllog.session.joining import Joining, arguments_of, detached_run


class Configuration(NamedTuple):
    """The parts that a session is configured with."""

    arguments: dict[str, object]
    settings: Settings
    identity: Identity
    directory: Path


def find_configuration(
    arguments: Mapping[str, object],
    pinned: Mapping[str, object],
    environ: MutableMapping[str, str],
    detector: RunDetector,
    joining: Joining,
    target: ConnectionString | None,
) -> Configuration:
    """Return the configuration. Takes as long as run history takes to answer. Raises ConfigError.

    `pinned`: arguments that replace others. `joining`: the step that this process works for, whose arguments and
    identity it gets. `target`: the resource of a script's own handler, if no setting names one.
    """
    step = joining.step
    given = {**(arguments_of(step, detector.node) if step is not None else {}), **arguments}
    settings = compose.read_settings({**given, **pinned}, environ, target)
    # No telemetry about telemetry, also in handlers that the script makes itself (docs/decisions/0004).
    environ.setdefault("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
    directory = environment.absolute_path(settings.directory or default_directory(environ))
    if step is not None:
        identity = detector.adopt(step.identity)
    else:
        if joining.framework:
            detector.use_local_run(detached_run(detector.node))
        kind = compose.metrics_kind(settings, environ)
        identity = detector.detect(settings, kind, environment.file_uri(directory))
    return Configuration(given, settings, identity, directory)
