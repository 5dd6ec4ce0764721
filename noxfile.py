"""The gates: lint, types, and the tests against the built wheel on every supported Python.

`make test` runs all of them. One of them: `.venv/bin/nox -s types`, `.venv/bin/nox -s tests-3.9 -- -k journal`.
The reasons are in docs/decisions/0011-gates.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nox

HERE = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if " :: 3." in line]
AT_HAND = f"{sys.version_info.major}.{sys.version_info.minor}"
MEASURED = HERE / ".nox" / "measured"
# By hand, and only on the newest Python (`nox -s tests-3.13 coverage`): measuring takes a third of the time.
MEASURE = "coverage" in sys.argv

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # skipped, and nox's closing list says so
nox.options.sessions = ["lint", "types", "tests", "guests"]


def show_pythons_of_pyenv() -> None:
    """Select all supported Pythons of pyenv, which hides those that are installed but not selected."""
    if shutil.which("pyenv") and "PYENV_VERSION" not in os.environ:
        command = ["pyenv", "versions", "--bare", "--skip-aliases"]
        installed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        ours = [version for version in installed if version.rpartition(".")[0] in PYTHONS]
        ours.sort(key=lambda version: not version.startswith(AT_HAND))
        os.environ["PYENV_VERSION"] = ":".join(ours) or "system"


show_pythons_of_pyenv()
FOUND = [version for version in PYTHONS if version == AT_HAND or shutil.which(f"python{version}")]
# The newest Python runs everything and comes first, then the oldest, then those between.
ORDER = sorted(PYTHONS, key=lambda version: (version != FOUND[-1], version != FOUND[0]))
# Not each package of the guests has wheels for the newest Python.
OF_GUESTS = max(
    (version for version in FOUND if version not in {"3.14", "3.15"}), key=PYTHONS.index, default=FOUND[-1]
)
GUESTS = "tests/end_to_end/guests"
os.environ["UV_PYTHON_DOWNLOADS"] = "never"
# Without bytecode, each of the processes that the tests start would compile all of its imports again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group in pyproject.toml, without amllog itself."""
    return [line for line in nox.project.dependency_groups(PROJECT, name) if not line.startswith("amllog")]


def wheel(session: nox.Session) -> Path:
    """Return the wheel of the present source, built once for all sessions of this run."""
    folder = HERE / ".nox" / "wheel" / str(os.getpid())
    if not list(folder.glob("*.whl")):
        shutil.rmtree(folder.parent, ignore_errors=True)
        session.run("uv", "build", "--wheel", "--out-dir", str(folder), external=True)
    return next(folder.glob("*.whl"))


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff: faults and format."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy, strict, on the package."""
    session.install("--reinstall-package", "amllog", f"{wheel(session)}[local]", *group("types"))
    session.run("mypy")


def install_tests(session: nox.Session, *options: str) -> None:
    """Install the wheel and the packages of its tests, and compile azureml."""
    tested = f"{wheel(session)}[insights,pandas,arrow,local,notebook,demo]"
    session.install(*options, "--reinstall-package", "amllog", tested, *group("test"))
    # Python prints warnings about azureml's strings when it compiles them, and tests read the output of processes.
    session.run("python", "-W", "ignore", "-c", "import azureml.core")


def pytest_command(session: nox.Session) -> tuple[str, ...]:
    """Return the beginning of a command that runs tests. `python -m pytest` would put the source tree on the path."""
    # A failure is printed at once: CI may stop the run before pytest's summary.
    return (f"{session.bin}/pytest", "-n", "auto", "--maxschedchunk", "8", "--instafail", "--durations=10")


@nox.session(python=ORDER)
def tests(session: nox.Session) -> None:
    """Run the tests against the installed wheel, never the source tree. The newest Python runs all of them."""
    if time.time() > float(os.environ.get("GATE_ENDS", "inf")):  # tests/conftest.py reads it, too
        session.skip("not run: GATE_ENDS, the end of this run's time, came before this session")
    install_tests(session)
    session.run("python", "tests/insights/language.py")
    pytest = (*pytest_command(session), f"--ignore={GUESTS}")
    if session.python != FOUND[-1]:
        left_out = "once" if session.python == FOUND[0] else "slow"
        session.run(*pytest, *(session.posargs or ["-m", f"not {left_out}"]))
        return
    if not MEASURE:
        session.run(*pytest, *session.posargs)
        return
    shutil.rmtree(MEASURED, ignore_errors=True)
    MEASURED.mkdir(parents=True, exist_ok=True)
    session.run(
        *("coverage", "run", *pytest, *session.posargs),
        env={"COVERAGE_FILE": str(MEASURED / f"data.{session.python}")},
    )


@nox.session(python=OF_GUESTS)
def guests(session: nox.Session) -> None:
    """Run the tests beside the libraries that jobs use: on one Python, because these are many packages."""
    install_tests(session, *group("guests"))
    session.run(*pytest_command(session), *(session.posargs or [GUESTS]))


@nox.session(name="guests-heavy", python=OF_GUESTS)
def guests_heavy(session: nox.Session) -> None:
    """Run the tests beside Spark, the full MLflow and the SDKs for pipelines. By hand: 2 GB, and Spark needs Java."""
    if shutil.which("java") is None and shutil.which("apt-get") and os.getuid() == 0:
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-qq", "default-jre-headless", external=True)
    install_tests(session, *group("guests"), *group("guests-heavy"))
    session.run(*pytest_command(session), *(session.posargs or [f"{GUESTS}/heavy"]))


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the oldest versions that pyproject.toml allows. By hand, before a bound is changed."""
    oldest = [
        "--upgrade",
        "--resolution",
        "lowest-direct",
        *PROJECT["project"]["dependencies"],
        "setuptools>=75,<82",
    ]
    install_tests(session, *oldest)
    session.run(f"{session.bin}/pytest", "-n", "2", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Print one report over all processes."""
    session.install(*[line for line in group("test") if line.startswith("coverage")])
    if not list(MEASURED.glob("data.*")):
        session.skip("no tests ran")
    env = {"COVERAGE_FILE": str(MEASURED / "data")}
    session.run("coverage", "combine", "--quiet", "--keep", env=env)
    # Copies of amllog that tests have made are deleted by now. Their missing sources are not errors.
    session.run("coverage", "report", "--ignore-errors", env=env)
