"""The words that start a step of each kind."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from amllog.errors import UsageError
from amllog.local.execution.command_text import CommandValues, replace_expressions
from amllog.local.execution.step_values import StepValues
from amllog.local.plan.planned_steps import PlannedStep, StepKind, literals_of
from amllog.local.step_kinds import spark_step

# Bytes of a command. Linux rejects an argument of 131,072 bytes, and in that of the launcher of ranks, which is JSON, a
# byte may become six.
MAX_ARGUMENT = 20_000
DEBUG_SECONDS = 86400.0  # for one mini-batch
MODULES = {
    StepKind.PARALLEL: "parallel_step",
    StepKind.FUNCTION: "function_step",
}


def skip_reason(step: PlannedStep, environ: Mapping[str, str]) -> str:
    """Return why this machine cannot run a step that is correct, or an empty string."""
    python = step.interpreter or Path(sys.executable)
    return spark_step.skip_reason(python, environ) if step.kind is StepKind.SPARK else ""


def debugged_names(names: Iterable[str]) -> frozenset[str]:
    """Return the steps that a debugger stops: those with the names, and the first trials of sweeps."""
    return frozenset(text for name in names for text in (name, f"{name}.trial_0"))


def command_words(
    step: PlannedStep, values: StepValues, environment: Mapping[str, str], debug_shims: Path | None = None
) -> tuple[str, ...]:
    """Return the words of a step. `environment` is that of its process. Raises UsageError, and OSError.

    A command that is too long for an argument is a file in the folder of the step.
    `debug_shims` is the folder with the `python` that waits for a debugger. The words of a shell find it on PATH.
    """
    if debug_shims:
        step, values = _for_debugger(step, values, debug_shims)
    if step.kind is StepKind.SPARK:
        return spark_step.command(step, values, environment)
    if step.kind is StepKind.COMMAND:
        words = _shell_words(step, values, environment.get("PATH", ""))
        if step.distribution is None:
            return words
        return tuple(import_module("amllog.local.step_kinds.distribution_step").command(step, values, words))
    if step.kind not in MODULES:
        raise UsageError(f"{step.position}: a step of type {step.kind.value} has no command")
    return tuple(import_module(f"amllog.local.step_kinds.{MODULES[step.kind]}").command(step, values))


def _for_debugger(step: PlannedStep, values: StepValues, shims: Path) -> tuple[PlannedStep, StepValues]:
    """Return a parallel step with one worker that the debugger stops, and without a time limit for mini-batches."""
    values = replace(values, python=shims / "python")
    if step.parallel is None:
        return step, values
    parallel = replace(step.parallel, max_concurrency_per_instance=1, timeout_seconds=DEBUG_SECONDS)
    return replace(step, parallel=parallel), values


def _shell_words(step: PlannedStep, values: StepValues, path: str) -> tuple[str, ...]:
    texts = CommandValues(values.inputs, values.outputs, literals_of(step))
    if step.arguments is not None:
        return tuple(replace_expressions(word, texts) for word in step.arguments)
    shell = "bash" if shutil.which("bash", path=path) else "sh"
    command = replace_expressions(step.command, texts, is_shell=True)
    data = os.fsencode(command)
    if len(data) <= MAX_ARGUMENT:
        return (shell, "-c", command)
    script = values.folder / "command.sh"
    script.write_bytes(data)
    return (shell, str(script))


def executable_of(words: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Return the path of the program. One that does not exist is returned as it is, and the keeper reports it."""
    return shutil.which(words[0], path=environment.get("PATH", "")) or words[0]


def replaced_variables(step: PlannedStep, values: StepValues) -> dict[str, str]:
    """Return `environment_variables` of a step with their expressions replaced."""
    texts = CommandValues(values.inputs, values.outputs)
    return {name: replace_expressions(value, texts) for name, value in step.environment_variables.items()}
