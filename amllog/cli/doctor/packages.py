"""The part of `amllog doctor` that looks at Python and its packages.

In: this interpreter. Out: checks.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib import metadata

from amllog.cli.doctor.checks import Check, fail, ok, warn

OLDEST, NEWEST = (3, 9), (3, 15)
OPENCENSUS = "opencensus-ext-azure"
OPENTELEMETRY = ("azure-monitor-opentelemetry", "azure-monitor-opentelemetry-exporter")


def look(*, in_job: bool) -> Iterator[Check]:
    """Python's version, azureml, and the exporters."""
    version = sys.version.split()[0]
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        yield ok("Python", version)
    else:
        yield warn("Python", f"{version} is not tested", "use 3.9 to 3.15")
    yield _azureml(in_job)
    yield from _exporters()


def version_of(package: str) -> str:
    """The installed version; "" without one."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def is_there(module: str) -> bool:
    """Whether a module can be found."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # not even its parent; or one that was made by hand
        return False


def _azureml(in_job: bool) -> Check:
    if sys.version_info >= (3, 13) and not is_there("imghdr"):
        return fail("azureml", "imghdr is gone from Python 3.13, and azureml's Run needs it",
                    "pip install standard-imghdr")  # fmt: skip
    try:
        importlib.import_module("azureml.core")
    except Exception as error:  # whatever a package's import may raise: this is the check
        found = f"azureml.core cannot be imported: {type(error).__name__}: {error}"
        advice = (
            "pip install azureml-core 'setuptools<81'"
            if "pkg_resources" in found
            else "pip install azureml-core"
        )
        return fail("azureml", found, advice) if in_job else warn("azureml", found, advice)
    return ok("azureml", f"azureml-core {version_of('azureml-core')}")


def _exporters() -> Iterator[Check]:
    own, others = version_of(OPENCENSUS), [name for name in OPENTELEMETRY if version_of(name)]
    if not own:
        yield fail("exporter", f"{OPENCENSUS} is not installed", f"pip install {OPENCENSUS}")
    elif others:
        yield warn("exporter", f"{OPENCENSUS} {own} and {' and '.join(others)} are both installed",
                   "fine as long as the script starts only one: what both are given arrives twice")  # fmt: skip
    else:
        yield ok("exporter", f"{OPENCENSUS} {own}")
