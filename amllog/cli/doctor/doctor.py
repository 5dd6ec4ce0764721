"""`amllog doctor`: check the settings, the machine and scripts for known problems.

Nothing is changed. A request is made only inside a job, to find its run, and with --send.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from amllog.cli.doctor import checks, leftovers, packages, script_checks
from amllog.cli.doctor.checks import Check, fail, ok, warn
from amllog.config import user_path, variables
from amllog.config.settings import Settings, inspect_settings
from amllog.config.unknown_variables import KNOWN, find_unknown
from amllog.context.detector import RunDetector
from amllog.context.identity import default_directory, is_job
from amllog.errors import UsageError
from amllog.record import envelope
from amllog.record.envelope import Sender
from amllog.session import api, compose

SEND_SECONDS = 15.0
_NETWORK_FILE_SYSTEMS = ("fuse", "nfs", "cifs", "smb", "9p", "lustre", "blobfuse")
_SET_BY_AMLLOG = {variable.name for variable in variables.VARIABLES if variable.set_by == variables.AMLLOG}
_SKEW_SECONDS = 3600.0
_CONNECTION_STRING = "APPLICATIONINSIGHTS_CONNECTION_STRING"


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Run all checks of the machine and of the scripts. Return 1 if one failed."""
    results: list[Check] = []
    settings = inspect_settings(environ)
    results += _check_settings(settings, environ)
    results += _check_journal(settings, environ)
    results += leftovers.check_temporary_directories(environ)
    results += packages.check_packages(in_job=is_job(environ))
    results.append(_check_run(settings, environ))
    results += _check_root_logger()
    results.append(_check_statsbeat(environ))
    results.append(_check_clock())
    for script in options.scripts:
        results += script_checks.check_script(script)
    if options.send:
        results.append(_send_test_record(settings))
    return checks.print_checks(results, as_json=options.json)


def _variables_that_are_set(environ: Mapping[str, str]) -> str:
    names = sorted(name for name in KNOWN - _SET_BY_AMLLOG if environ.get(name, "").strip())
    return f"from the environment: {', '.join(names)}" if names else "all defaults"


def _check_settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    """Report invalid and unknown variables. In a job, invalid ones do not raise, so they need to be found here."""
    for problem in settings.problems:
        yield fail("settings", f"{problem.variable} = {problem.value!r}", problem.allowed)
    if not settings.problems:
        yield ok("settings", _variables_that_are_set(environ))
    for problem in find_unknown(environ):
        fact, _, hint = str(problem).partition(": ")
        yield warn("settings", fact, hint)
    if not settings.is_invalid("connection_string"):
        yield _check_connection_string(settings)


def _check_connection_string(settings: Settings) -> Check:
    target = settings.connection_string
    if target is None:
        return warn(
            "connection string",
            "not set: records stay in the journal",
            f"set {_CONNECTION_STRING} to the value on the resource's overview page in the portal",
        )
    if target.endpoint.startswith("http://") and "//127.0.0.1" not in target.endpoint:
        return warn(
            "connection string",
            f"{target.endpoint} is not encrypted",
            "use the https:// address from the portal",
        )
    return ok("connection string", f"valid, for {target.endpoint}")


def _check_journal(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    directory = (settings.directory or Path(default_directory(environ))).absolute()
    try:
        location = next(path for path in (directory, *directory.parents) if user_path.is_directory(path))
        with tempfile.TemporaryFile(dir=location):
            yield ok("journal", f"{directory} can be written")
    except (OSError, UsageError) as error:
        reason = (
            f"{directory} cannot be written ({error.strerror})" if isinstance(error, OSError) else str(error)
        )
        advice = "set AMLLOG_DIR to a writable directory; until then a temporary one is used"
        yield fail("journal", reason, advice)
        return
    yield _check_file_system(location)
    free = shutil.disk_usage(location).free
    if free < settings.journal_max_bytes:
        yield warn(
            "journal",
            f"{free >> 20} MiB are free, which is less than journal_max_bytes",
            "free some space: on a full disk, new records are refused and counted",
        )
    if location == directory:
        yield from leftovers.check_directory(directory, environ)


def _check_file_system(location: Path) -> Check:
    kind = file_system_of(location, _mounts())
    if not kind.startswith(_NETWORK_FILE_SYSTEMS):
        return ok("file system", kind or "unknown")
    return warn(
        "file system",
        f"{kind}: a network file system",
        "writes may be slow or lost with the mount, and files may have no locks; if steps get slower over "
        "time, set AMLLOG_DIR to a local disk (and write outputs with as_upload, not as_mount)",
    )


def file_system_of(location: Path, mounts: str) -> str:
    """Return the type of the file system of `location`, from the content of /proc/mounts. "" if it is unknown."""
    resolved, best = location.resolve(), ("", "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if (resolved == Path(point) or Path(point) in resolved.parents) and len(point) >= len(best[0]):
            best = point, kind
    return best[1]


def _mounts() -> str:
    try:
        return Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return ""


def _check_run(settings: Settings, environ: Mapping[str, str]) -> Check:
    if not is_job(environ):
        return ok("run", "not in an Azure ML job: setup() creates the id of a local run")
    errors: list[str] = []
    detector = RunDetector(environ, errors.append)
    identity = detector.detect(settings, compose.metrics_kind(settings, environ), "")
    name = f"{identity.step_id}, step {identity.step_name} of {identity.parent_run_id}"
    if errors:
        return warn(
            "run",
            f"{name}, from the environment; {errors[0]}",
            "the step runs without it; check whether this compute can reach the workspace",
        )
    source = "run history" if detector.azureml_run is not None else "the environment"
    return ok("run", f"{name}, from {source}")


def _check_root_logger() -> Iterator[Check]:
    root = logging.getLogger()
    names = ", ".join(type(handler).__name__ for handler in root.handlers)
    if names:
        yield warn(
            "logging",
            f"the root logger has handlers before any script runs: {names}",
            "a startup file of Python configures logging: lines may appear twice",
        )
    if root.level and root.level <= logging.DEBUG:
        yield warn(
            "logging",
            "the level of the root logger is DEBUG",
            "the records of libraries are sent, too: use INFO",
        )
    if not names and root.level > logging.DEBUG:
        yield ok("logging", "the root logger has Python's defaults")


def _check_statsbeat(environ: Mapping[str, str]) -> Check:
    name = "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL"
    if environ.get(name, "").lower() == "true":
        return ok("statsbeat", "disabled by the environment")
    return ok("statsbeat", f"setup() disables it; for handlers that are created before it, set {name}=true")


def _check_clock() -> Check:
    now = time.time()
    newest = max(path.stat().st_mtime for path in Path(envelope.__file__).parent.glob("*.py"))
    if now < newest - _SKEW_SECONDS:
        return fail(
            "clock",
            f"{envelope.format_timestamp(now)} is before amllog was installed",
            "set the clock: Application Insights refuses records older than 48 hours",
        )
    return ok("clock", envelope.format_timestamp(now))


def _send_test_record(settings: Settings) -> Check:
    if settings.connection_string is None:
        return fail("test record", "not sent: no connection string", f"set {_CONNECTION_STRING}")
    identity = api.identity()  # cannot fail: the settings are valid
    sender = Sender(settings.connection_string.instrumentation_key, {"ai.cloud.role": "amllog doctor"})
    message = {"message": "amllog doctor: a test record", "severityLevel": 1}
    line = envelope.encode_record(
        time.time(),
        sender.key,
        sender.tags_for_span(identity.operation_id, identity.span_id),
        "MessageData",
        {**message, "properties": {**identity.dimensions(), "python": sys.version.split()[0]}},
    )
    exporter = compose.insights_exporter(settings, compose.exporter_kind(settings), time.time())
    try:
        result = exporter.export([line], SEND_SECONDS)
    finally:
        exporter.close()
    (verdict,) = result.verdicts(1)
    if verdict.state == "delivered":
        return ok(
            "test record",
            f"accepted by {settings.connection_string.endpoint}; it appears in traces after some minutes",
        )
    return fail(
        "test record",
        f"{verdict.state}: {verdict.reason}",
        "check the endpoint and the network (401, 403: the authentication of the resource)",
    )
