"""The words that start the Python processes of a step under the debugger.

The step's own interpreter needs debugpy. If it has none, ours is lent to an interpreter of the same version and ABI. It
gets a folder with nothing but debugpy, because our other packages must not replace those of the step.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from amllog.config.parsers import Address
from amllog.config.settings_table import BY_NAME
from amllog.config.variables import DEBUG_PROCESS, DEBUG_SOURCE
from amllog.errors import ConfigError, Problem, UsageError
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedStep, StepKind
from amllog.process import debug_launcher

_FOLDER = "debugger"
_OTHER_KINDS = (StepKind.SPARK, StepKind.UNSUPPORTED)
_INSPECT = """
import importlib.util, json, sys, sysconfig
print(json.dumps([sysconfig.get_config_var("SOABI") or sys.version, bool(importlib.util.find_spec("debugpy"))]))
"""
_INSPECT_SECONDS = 30.0


class DebuggedPython(NamedTuple):
    """An interpreter as far as a debugger depends on it."""

    abi: str
    has_debugpy: bool
    error: str = ""  # of an interpreter that does not run


def inspect_python(python: Path) -> DebuggedPython:
    """Return the version of an interpreter, and whether it has debugpy."""
    if python == Path(sys.executable):
        return DebuggedPython(_our_abi(), importlib.util.find_spec("debugpy") is not None)
    try:
        ran = subprocess.run(
            [str(python), "-c", _INSPECT],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_INSPECT_SECONDS,
            check=True,
        )
        return DebuggedPython(*json.loads(ran.stdout))
    except subprocess.CalledProcessError as error:
        return DebuggedPython("", False, error.stderr.strip().rpartition("\n")[2] or str(error))
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired) as error:
        return DebuggedPython("", False, str(error))


def debugger_error(python: Path) -> str:
    """Return why no step of an interpreter can be debugged, and what to do, or ""."""
    inspected = inspect_python(python)
    if inspected.error:
        return f"{python} does not run: {inspected.error}"
    if inspected.has_debugpy or _can_lend(inspected):
        return ""
    return f"{python} has no debugpy. To install it: {python} -m pip install debugpy"


@dataclass(frozen=True)
class DebugLaunch:
    """The prefix of a debugged step (`RunOptions.debug`). Without an address, it is 127.0.0.1:5678 or a free port."""

    address: Address | None = None
    seconds: float = 300.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> DebugLaunch:
        """Return the prefix with the settings of the environment. Raise ConfigError if one is invalid."""
        values: dict[str, Any] = {}
        problems = []
        for setting in (BY_NAME["debug_address"], BY_NAME["debug_seconds"]):
            text = environ.get(setting.variables[0], "").strip()
            try:
                values[setting.name.partition("_")[2]] = setting.parse(text) if text else None
            except ValueError:
                problems.append(Problem(setting.variables[0], text, f"allowed is {setting.allowed}"))
        if problems:
            raise ConfigError(problems)
        return cls(**{name: value for name, value in values.items() if value is not None})

    def __call__(self, step: PlannedStep, values: StepValues) -> tuple[str, ...]:
        """Return the words between the interpreter of a step and its arguments."""
        words = [debug_launcher.__file__, "--seconds", f"{self.seconds:g}", "--name", f"amllog: {step.name}"]
        if self.address is not None:
            words += ["--host", self.address.host, "--port", str(self.address.port), "--fixed-port"]
        source = source_folder(step)
        if source is not None:
            words += ["--source", str(source)]
        inspected = inspect_python(values.python)
        if not inspected.has_debugpy and _can_lend(inspected):
            words += ["--debugpy", str(_lend(values.folder / _FOLDER))]
        return (*words, "--marker", DEBUG_PROCESS, "--")


def check_debugged(steps: Iterable[PlannedStep]) -> None:
    """Raise UsageError if one of the steps cannot be debugged."""
    for step in steps:
        if step.kind in _OTHER_KINDS:
            raise UsageError(
                f"--debug {step.name}: steps of type {step.kind.value} are not started under a debugger. "
                "Call amllog.debug() in the script, or debug it as the script of a command"
            )
        error = debugger_error(step.interpreter or Path(sys.executable))
        if error:
            raise UsageError(f"--debug {step.name}: {error}")


def source_variable(step: PlannedStep) -> dict[str, str]:
    """Return the variable with which `amllog.debug()` in a step maps its working directory to the source."""
    source = source_folder(step)
    return {} if source is None else {DEBUG_SOURCE: str(source)}


def source_folder(step: PlannedStep) -> Path | None:
    """Return the folder of which the working directory of a step is a copy."""
    if step.code is None:
        return None
    return step.code if step.code.is_dir() else step.code.parent


def _our_abi() -> str:
    return sysconfig.get_config_var("SOABI") or sys.version


def _can_lend(inspected: DebuggedPython) -> bool:
    """Return whether our debugpy runs in another interpreter: its compiled parts are for one version and ABI."""
    return inspected.abi == _our_abi() and importlib.util.find_spec("debugpy") is not None


def _lend(folder: Path) -> Path:
    """Create a folder with a link to our debugpy only, and return it."""
    spec = importlib.util.find_spec("debugpy")
    assert spec is not None
    assert spec.origin is not None
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "debugpy"
    if not link.is_symlink():
        link.symlink_to(Path(spec.origin).parent)
    return folder
