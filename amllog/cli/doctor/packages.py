"""Check Python and the installed packages for `amllog doctor`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from importlib import metadata

from amllog.cli.doctor.checks import Check, fail, ok, warn

OLDEST, NEWEST = (3, 9), (3, 15)
OPENCENSUS = "opencensus-ext-azure"
OPENTELEMETRY = ("azure-monitor-opentelemetry", "azure-monitor-opentelemetry-exporter")


def check_packages(*, in_job: bool) -> Iterator[Check]:
    """Check the version of Python, azureml and the exporters. A missing azureml is an error only in a job."""
    version = sys.version.split()[0]
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        yield ok("Python", version)
    else:
        yield warn("Python", f"{version} is not tested", "use 3.9 to 3.15")
    yield _check_azureml(in_job)
    yield from _check_exporters()


def version_of(package: str) -> str:
    """Return the version of an installed package, or ""."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # no parent package, or a module without a specification
        return False


def _check_azureml(in_job: bool) -> Check:
    if sys.version_info >= (3, 13) and not is_installed("imghdr"):
        return fail(
            "azureml", "Python 3.13 has no imghdr, which azureml's Run imports", "pip install standard-imghdr"
        )
    try:
        with warnings.catch_warnings():
            # Python reports invalid escapes in azureml when it first compiles it.
            warnings.simplefilter("ignore")
            importlib.import_module("azureml.core")
    except Exception as error:  # the import is the check, and a package may raise any exception
        problem = f"azureml.core cannot be imported: {type(error).__name__}: {error}"
        advice = (
            "pip install azureml-core 'setuptools<81'"
            if "pkg_resources" in problem
            else "pip install azureml-core"
        )
        return fail("azureml", problem, advice) if in_job else warn("azureml", problem, advice)
    return ok("azureml", f"azureml-core {version_of('azureml-core')}")


def _check_exporters() -> Iterator[Check]:
    version, others = version_of(OPENCENSUS), [name for name in OPENTELEMETRY if version_of(name)]
    if not version:
        yield fail("exporter", f"{OPENCENSUS} is not installed", f"pip install {OPENCENSUS}")
    elif others:
        yield ok(
            "exporter",
            f"{OPENCENSUS} {version} (amllog sends with it; {' and '.join(others)} is installed, too)",
        )
    else:
        yield ok("exporter", f"{OPENCENSUS} {version}")
