"""`amllog doctor`: what usually goes wrong on a machine, looked at before it does.

In: the environment, the machine. Out: checks. Nothing is changed; a request is made only inside a job (for its run)
and with --send.
"""

from __future__ import annotations

import difflib
import logging
import shutil
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from amllog.cli import rows, status
from amllog.cli.doctor import checks, packages, script_checks
from amllog.cli.doctor.checks import Check, fail, ok, warn
from amllog.config import user_path, variables
from amllog.config.settings import SETTINGS, Settings, resolve_settings
from amllog.context.detector import RunDetector
from amllog.context.identity import default_directory, is_job
from amllog.delivery.exporter import Verdict
from amllog.errors import ConfigError, UsageError
from amllog.record import envelope
from amllog.record.envelope import Sender
from amllog.session import api, compose

SEND_SECONDS = 15.0
_NETWORK = ("fuse", "nfs", "cifs", "smb", "9p", "lustre", "blobfuse")
_KNOWN = {
    *(variable.name for variable in variables.VARIABLES),
    *(variable for setting in SETTINGS for variable in setting.variables),
}
_SET_BY_AMLLOG = {variable.name for variable in variables.VARIABLES if variable.set_by == variables.AMLLOG}
_SKEW_SECONDS = 3600.0
_VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"


def doctor(options: Namespace, environ: Mapping[str, str]) -> int:
    """All checks; with scripts, theirs as well."""
    found: list[Check] = []
    settings = Settings()
    try:
        settings = resolve_settings({}, environ)
        found += [ok("settings", _given(environ)), _connection(settings)]
    except ConfigError as error:
        found += [fail("settings", f"{one.variable} = {one.value!r}", one.allowed) for one in error.problems]
    found += _typing_errors(environ)
    found += _journal(settings, environ)
    found += packages.look(in_job=is_job(environ))
    found.append(_run(settings, environ))
    found += _handlers()
    found.append(_statsbeat(environ))
    found.append(_clock())
    for script in options.scripts:
        found += script_checks.look(script)
    if options.send:
        found.append(_send(settings))
    return checks.tell(found, as_json=options.json)


def _given(environ: Mapping[str, str]) -> str:
    names = sorted(name for name in _KNOWN - _SET_BY_AMLLOG if environ.get(name, "").strip())
    return f"from the environment: {', '.join(names)}" if names else "all defaults"


def _typing_errors(environ: Mapping[str, str]) -> Iterator[Check]:
    for name in sorted(environ):
        if name.startswith(variables.PREFIX) and name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, n=1)
            hint = f"did you mean {near[0]}?" if near else "docs/settings.md lists those that there are"
            yield warn("settings", f"{name} is not an amllog variable", hint)


def _connection(settings: Settings) -> Check:
    target = settings.connection_string
    if target is None:
        return warn("connection string", "none: records stay in the journal",
                    f"set {_VARIABLE} as the portal shows it, on the resource's overview page")  # fmt: skip
    if target.endpoint.startswith("http://") and "//127.0.0.1" not in target.endpoint:
        return warn(
            "connection string", f"{target.endpoint} without encryption", "use the portal's https:// address"
        )
    return ok("connection string", f"well-formed, to {target.endpoint}")


def _journal(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    directory = (settings.directory or Path(default_directory(environ))).absolute()
    try:
        place = next(path for path in (directory, *directory.parents) if user_path.is_directory(path))
        with tempfile.TemporaryFile(dir=place):
            yield ok("journal", f"{directory} can be written")
    except OSError as error:
        yield fail("journal", f"{directory} cannot be written ({error.strerror})",
                   "set AMLLOG_DIR to a directory of your own; until then a temporary one is used")  # fmt: skip
        return
    except UsageError as error:
        yield fail("journal", str(error),
                   "set AMLLOG_DIR to a directory of your own; until then a temporary one is used")  # fmt: skip
        return
    yield _file_system(place)
    free = shutil.disk_usage(place).free
    if free < settings.journal_max_bytes:
        yield warn("journal", f"{free >> 20} MiB are free, less than journal_max_bytes",
                   "make room: with a full disk, new records are refused (and counted)")  # fmt: skip
    if place == directory:
        yield _waiting(directory, environ)


def _file_system(place: Path) -> Check:
    kind = file_system_of(place, _mounts())
    if not kind.startswith(_NETWORK):
        return ok("file system", kind or "unknown")
    return warn("file system", f"{kind}: mounted over a network",
                "a write may be slow, may be lost with the mount, and files may have no locks; where steps get slower "
                "over time, set AMLLOG_DIR to a local disk (and write outputs as_upload, not as_mount)")  # fmt: skip


def file_system_of(place: Path, mounts: str) -> str:
    """The type of file system that `place` is on, from the text of /proc/mounts; "" if it does not tell."""
    here, best = place.resolve(), ("", "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if (here == Path(point) or Path(point) in here.parents) and len(point) >= len(best[0]):
            best = point, kind
    return best[1]


def _mounts() -> str:
    try:
        return Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return ""


def _waiting(directory: Path, environ: Mapping[str, str]) -> Check:
    report = status.report(directory, environ)
    left = sum(file["waiting"] for file in report["files"] if file["writer"] == "gone")
    if report["refused"]:
        return warn(
            "leftovers", f"{rows.count(report['refused'], 'record')} refused", "amllog status says why"
        )
    if left:
        return warn(
            "leftovers", f"{rows.count(left, 'record')} of processes that are gone wait", "amllog deliver"
        )
    return ok("leftovers", "nothing waits")


def _run(settings: Settings, environ: Mapping[str, str]) -> Check:
    if not is_job(environ):
        return ok("run", "not in an Azure ML job: a local run, whose id is made by setup()")
    said: list[str] = []
    detector = RunDetector(environ, said.append)
    identity = detector.detect(settings, compose.metrics_of(settings, environ), "")
    name = f"{identity.step_id}, step {identity.step_name} of {identity.parent_run_id}"
    if said:
        return warn("run", f"{name}, from the environment; {said[0]}",
                    "the step goes on without it; is the network open from this compute?")  # fmt: skip
    where = "run history" if detector.azureml_run is not None else "the environment"
    return ok("run", f"{name}, from {where}")


def _handlers() -> Iterator[Check]:
    root = logging.getLogger()
    names = ", ".join(type(handler).__name__ for handler in root.handlers)
    if names:
        yield warn("logging", f"handlers on the root logger before any script ran: {names}",
                   "something at Python's start configures logging: lines may appear twice")  # fmt: skip
    if root.level and root.level <= logging.DEBUG:
        yield warn("logging", "the root logger is at DEBUG", "libraries' chatter is sent as well: use INFO")
    if not names and root.level > logging.DEBUG:
        yield ok("logging", "the root logger is as Python leaves it")


def _statsbeat(environ: Mapping[str, str]) -> Check:
    name = "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL"
    if environ.get(name, "").lower() == "true":
        return ok("statsbeat", "off, by the environment")
    return ok("statsbeat", f"setup() switches it off; for stock handlers made before it, set {name}=true")


def _clock() -> Check:
    now = time.time()
    newest = max(path.stat().st_mtime for path in Path(envelope.__file__).parent.glob("*.py"))
    if now < newest - _SKEW_SECONDS:
        return fail("clock", f"{envelope.format_timestamp(now)} is before amllog was installed",
                    "set the clock: records older than 48 hours are refused")  # fmt: skip
    return ok("clock", envelope.format_timestamp(now))


def _send(settings: Settings) -> Check:
    if settings.connection_string is None:
        return fail("test record", "not sent: no connection string", f"set {_VARIABLE}")
    identity = api.identity()  # the settings are right: there is a connection string
    sender = Sender(settings.connection_string.instrumentation_key, {"ai.cloud.role": "amllog doctor"})
    said = {"message": "amllog doctor: a test record", "severityLevel": 1}
    line = envelope.encode_record(
        time.time(), sender.key, sender.tags_for_span(identity.operation_id, identity.span_id), "MessageData",
        {**said, "properties": {**identity.dimensions(), "python": sys.version.split()[0]}},
    )  # fmt: skip
    outlet = compose.insights_outlet(settings, compose.exporter_of(settings), time.time())
    try:
        answer = outlet.export([line], SEND_SECONDS)
    finally:
        outlet.close()
    verdict: Verdict = answer.exceptions.get(0, answer.default)
    if verdict.state == "delivered":
        return ok(
            "test record", f"taken by {settings.connection_string.endpoint}; in traces after some minutes"
        )
    return fail("test record", f"{verdict.state}: {verdict.reason}",
                "is the endpoint right, and open from here? (401, 403: the resource's authentication)")  # fmt: skip
