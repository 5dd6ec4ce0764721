"""Check the source of a script for known problems of pipelines, for `amllog doctor`.

A script is parsed and never run. The problems are those of Microsoft's troubleshooting table for pipelines ("Debug &
troubleshoot machine learning pipelines", whose rows are named a to f here) and of its logging guide.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from amllog.cli.doctor.checks import Check, fail, ok
from amllog.cli.doctor.logging_rules import LOSSES
from amllog.cli.doctor.packages import is_installed
from amllog.cli.doctor.script import Script, dotted_name, has_clock_call, mode, string, strings

MAX_SNAPSHOT_BYTES, MAX_SNAPSHOT_FILES = 300 * 1024 * 1024, 2_000
_WRITES = ("to_csv", "to_parquet", "to_json", "save", "savez", "savetxt", "dump", "write_text", "write_bytes")
_LOG_CALLS = ("debug", "info", "warning", "error", "exception", "critical")
Rule = Callable[[Script], Iterator[Check]]


def check_script(path: Path) -> Iterator[Check]:
    """Apply all rules to one script."""
    try:
        script = Script(path, path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        yield fail(path.name, f"cannot be read as Python: {error}", "pass the script that the step runs")
        return
    checks = [check for rule in (*RULES, *LOSSES) for check in rule(script)]
    yield from checks or [ok(path.name, "no known problems")]


def _output_folder_is_created(script: Script) -> Iterator[Check]:
    """Row a: the script itself must create its output folder."""
    outputs = [
        call
        for call in script.calls_of("add_argument")
        if any("output" in text.lower() for text in strings(call)) and strings(call)[0].startswith("-")
    ]
    writes = script.calls_of(*_WRITES) or [
        call for call in script.calls_of("open") if mode(call)[:1] in ("w", "a", "x")
    ]
    if outputs and writes and not script.calls_of("makedirs", "mkdir"):
        problem = f"the output folder of the argument {strings(outputs[0])[0]} is not created"
        yield script.warn(outputs[0], problem, "os.makedirs(args.…, exist_ok=True) before the first write")


def _packages_are_installed(script: Script) -> Iterator[Check]:
    """Row b: imported packages must be installed in the environment of the step."""
    optional = script.optional_imports()
    siblings = {path.stem for path in script.path.parent.glob("*") if path.suffix == ".py" or path.is_dir()}
    for name, node in script.imported().items():
        is_known = name in siblings or name in sys.builtin_module_names or node in optional
        if not is_known and not is_installed(name):
            advice = "add the tested version to the environment of the step"
            yield script.warn(node, f"{name} is imported and not installed here", advice)


def _step_is_reused(script: Script) -> Iterator[Check]:
    """Row d: arguments that prevent the reuse of a step."""
    for call in script.calls:
        for keyword in call.keywords:
            value = keyword.value
            constant = value.value if isinstance(value, ast.Constant) else None
            if (keyword.arg, constant) in (("allow_reuse", False), ("regenerate_outputs", True)):
                yield script.warn(
                    call, f"{keyword.arg}={constant!r}", "the step is never reused: remove the argument"
                )
            if keyword.arg in ("arguments", "script_params", "inputs") and has_clock_call(value):
                advice = (
                    "the step is never reused, because its arguments change: pass the time in another way"
                )
                yield script.warn(value, f"a time in {keyword.arg}", advice)


def _own_folders(script: Script) -> Iterator[Check]:
    """Row e: each step needs its own, small source_directory."""
    first: dict[str, ast.Call] = {}
    for call in script.calls:
        folder = next(
            (string(keyword.value) for keyword in call.keywords if keyword.arg == "source_directory"), ""
        )
        if folder and folder in first:
            problem = f"source_directory {folder!r} is also used in line {first[folder].lineno}"
            yield script.warn(
                call, problem, "a change to any file in it reruns both steps: use one folder per step"
            )
        elif folder:
            first[folder] = call
            yield from _has_small_snapshot(script, call, script.path.parent / folder)


def _has_small_snapshot(script: Script, call: ast.Call, folder: Path) -> Iterator[Check]:
    files, size = 0, 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        files, size = files + 1, size + (path.stat().st_size if path.is_file() else 0)
        if files > MAX_SNAPSHOT_FILES or size > MAX_SNAPSHOT_BYTES:
            problem = f"{folder.name} has more than {MAX_SNAPSHOT_FILES} files or 300 MB"
            yield script.warn(
                call, problem, "move data, logs and outputs out of it, or list them in .amlignore"
            )
            return


def _not_mounted(script: Script) -> Iterator[Check]:
    """Row f: frequent small writes to a mounted output slow a step down from epoch to epoch."""
    for call in script.calls_of("as_mount"):
        receiver = ast.unparse(call.func).lower()
        if "output" in receiver or "log" in receiver:
            yield script.warn(
                call, "an output is mounted", "as_upload(): frequent writes to a mount get slower over time"
            )


def _no_workspace_in_a_job(script: Script) -> Iterator[Check]:
    """Opening a workspace by its configuration inside a job fails with status 401."""
    if script.calls_of("Run.get_context"):
        for call in script.calls_of("Workspace.from_config", "Workspace.create", "Workspace.get"):
            advice = "in a job, use run.experiment.workspace of the run from Run.get_context()"
            yield script.warn(call, f"{ast.unparse(call.func)} in a step script: 401 in a job", advice)


def _parallel_run(script: Script) -> Iterator[Check]:
    """A ParallelRunStep script needs init() and run(mini_batch), and must accept unknown arguments."""
    defined = {node.name: node for node in script.tree.body if isinstance(node, ast.FunctionDef)}
    if "init" not in defined or defined["init"].args.args:
        return
    if "run" not in defined:
        yield script.warn(
            defined["init"], "init() without run(mini_batch)", "a ParallelRunStep script needs both"
        )
    for call in script.calls_of("parse_args"):
        yield script.warn(
            call, "parse_args() with init()", "use parse_known_args(): the driver adds its own arguments"
        )


def _logging_is_sound(script: Script) -> Iterator[Check]:
    """Known mistakes in the configuration of logging."""
    handlers = script.calls_of("AzureLogHandler")
    uses_amllog = "amllog" in script.imported()
    for call in handlers[1:]:
        yield script.warn(call, "a second AzureLogHandler", "each handler sends every record: use only one")
    for call in handlers[:1] if uses_amllog else ():
        yield script.warn(call, "an AzureLogHandler and amllog", "amllog replaces the handler: remove it")
    for call in script.calls_of("basicConfig", "setLevel"):
        if handlers and "DEBUG" in ast.unparse(call):
            yield script.warn(
                call, "DEBUG with an AzureLogHandler", "the records of libraries are sent, too: use INFO"
            )
    for call in script.calls_of("getLogger", "get_logger"):
        if (strings(call) or [""])[0].split(".")[0] == "azureml":
            advice = "amllog drops records below WARNING of azureml's loggers: rename the logger"
            yield script.warn(call, "a logger named azureml.*", advice)
    if uses_amllog and not script.calls_of("amllog.setup", "setup"):
        node = script.imported()["amllog"]
        advice = "call amllog.setup() in the script that the step runs"
        yield script.warn(node, "amllog is imported but not set up here", advice)


def _not_only_prints(script: Script) -> Iterator[Check]:
    """Printed lines reach only the driver log."""
    prints = script.calls_of("print")
    logs = script.calls_of(*_LOG_CALLS)
    if prints and not logs and not {"logging", "amllog"} & script.imported().keys():
        advice = "use log.info(…) of log = amllog.setup(), or set AMLLOG_CAPTURE=logging,exceptions,prints"
        yield script.warn(prints[0], "only prints, which reach only the driver log", advice)


def _exit_code_is_visible(script: Script) -> Iterator[Check]:
    """`raise SystemExit(3)` calls no function, so that amllog cannot record the exit code."""
    raised = (node.exc for node in ast.walk(script.tree) if isinstance(node, ast.Raise))
    for call in raised if "amllog" in script.imported() else ():
        if isinstance(call, ast.Call) and dotted_name(call.func) == "SystemExit" and call.args:
            problem = f"raise {ast.unparse(call)}: the step counts as successful with any exit code"
            yield script.warn(
                call, problem, f"use sys.exit({ast.unparse(call.args[0])}), which amllog records"
            )


RULES: tuple[Rule, ...] = (
    _output_folder_is_created,
    _packages_are_installed,
    _step_is_reused,
    _own_folders,
    _not_mounted,
    _no_workspace_in_a_job,
    _parallel_run,
    _logging_is_sound,
    _not_only_prints,
    _exit_code_is_visible,
)
