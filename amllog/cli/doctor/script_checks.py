"""The part of `amllog doctor` that reads scripts: the documented troubles of pipelines that show in the code.

In: a Python file, which is parsed and never run. Out: checks with line numbers. Sources: Microsoft's
troubleshooting table for pipelines ("Debug & troubleshoot machine learning pipelines") and its logging guide.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from amllog.cli.doctor.checks import Check, fail, ok, warn
from amllog.cli.doctor.packages import is_there

MAX_SNAPSHOT_BYTES, MAX_SNAPSHOT_FILES = 300 * 1024 * 1024, 2_000
_WRITES = ("to_csv", "to_parquet", "to_json", "save", "savez", "savetxt", "dump", "write_text", "write_bytes")
_LOG_CALLS = ("debug", "info", "warning", "error", "exception", "critical")
Rule = Callable[["Script"], Iterator[Check]]


class Script:
    """A parsed script, and the few questions that rules ask of it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.tree = ast.parse(text, str(path))
        self.calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]

    def named(self, *names: str) -> list[ast.Call]:
        """Calls whose dotted name ends with one of `names`."""
        return [call for call in self.calls if _ends(_name(call.func), names)]

    def where(self, node: ast.AST) -> str:
        """`train.py:12`."""
        return f"{self.path.name}:{getattr(node, 'lineno', 0)}"

    def warn(self, node: ast.AST, found: str, advice: str) -> Check:
        """A warning at a place in the script."""
        return warn(self.where(node), found, advice)

    def imported(self) -> dict[str, ast.AST]:
        """The top-level names of what is imported absolutely."""
        found: dict[str, ast.AST] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update((alias.name.partition(".")[0], node) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.partition(".")[0]] = node
        return found


def look(path: Path) -> Iterator[Check]:
    """All rules on one script."""
    try:
        script = Script(path, path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        yield fail(path.name, f"cannot be read as Python: {error}", "is this the script that the step runs?")
        return
    found = [check for rule in RULES for check in rule(script)]
    yield from found or [ok(path.name, "nothing to say")]


def _folder_is_made(script: Script) -> Iterator[Check]:
    """Row a: an output folder must be made by the script itself."""
    outputs = [
        call for call in script.named("add_argument")
        if any("output" in text.lower() for text in _texts(call)) and _texts(call)[0].startswith("-")
    ]  # fmt: skip
    writes = script.named(*_WRITES) or [
        call for call in script.named("open") if _mode(call)[:1] in ("w", "a", "x")
    ]
    if outputs and writes and not script.named("makedirs", "mkdir"):
        said = f"the argument {_texts(outputs[0])[0]} names an output folder that nothing makes"
        yield script.warn(outputs[0], said, "os.makedirs(args.…, exist_ok=True) before the first write to it")


def _packages_are_there(script: Script) -> Iterator[Check]:
    """Row b: what works here must be installed there, and the other way round."""
    beside = {path.stem for path in script.path.parent.glob("*") if path.suffix == ".py" or path.is_dir()}
    for name, node in script.imported().items():
        if name not in beside and name not in sys.builtin_module_names and not is_there(name):
            advice = "add it to the environment of the step, in the version that was tested"
            yield script.warn(node, f"{name} is imported and not installed here", advice)


def _step_is_reused(script: Script) -> Iterator[Check]:
    """Row d: what keeps a step from being reused."""
    for call in script.calls:
        for keyword in call.keywords:
            value = keyword.value
            constant = value.value if isinstance(value, ast.Constant) else None
            if (keyword.arg, constant) in (("allow_reuse", False), ("regenerate_outputs", True)):
                yield script.warn(
                    call, f"{keyword.arg}={constant!r}", "the step is never reused; leave it out to reuse it"
                )
            if keyword.arg in ("arguments", "script_params", "inputs") and _calls_a_clock(value):
                advice = "the step is never reused, for its arguments differ each time: hand the time on in another way"
                yield script.warn(value, f"a time in {keyword.arg}", advice)


def _own_folders(script: Script) -> Iterator[Check]:
    """Row e: each step its own source_directory, and a small one."""
    first: dict[str, ast.Call] = {}
    for call in script.calls:
        folder = next(
            (_text(keyword.value) for keyword in call.keywords if keyword.arg == "source_directory"), ""
        )
        if folder and folder in first:
            said = f"source_directory {folder!r} is also that of line {first[folder].lineno}"
            yield script.warn(
                call, said, "a change to any file in it reruns both steps: give each its own folder"
            )
        elif folder:
            first[folder] = call
            yield from _small(script, call, script.path.parent / folder)


def _small(script: Script, call: ast.Call, folder: Path) -> Iterator[Check]:
    files, size = 0, 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        files, size = files + 1, size + (path.stat().st_size if path.is_file() else 0)
        if files > MAX_SNAPSHOT_FILES or size > MAX_SNAPSHOT_BYTES:
            said = f"{folder.name} has more than {MAX_SNAPSHOT_FILES} files or 300 MB"
            yield script.warn(call, said, "keep data, logs and outputs out of it, or list them in .amlignore")
            return


def _not_mounted(script: Script) -> Iterator[Check]:
    """Row f: frequent small writes to a mounted output make a step slower from epoch to epoch."""
    for call in script.named("as_mount"):
        receiver = ast.unparse(call.func).lower()
        if "output" in receiver or "log" in receiver:
            yield script.warn(
                call, "an output is mounted", "as_upload(): frequent writes to a mount get slower over time"
            )


def _no_workspace_in_a_job(script: Script) -> Iterator[Check]:
    """Managing a workspace from within a job ends in a 401."""
    if script.named("Run.get_context"):
        for call in script.named("Workspace.from_config", "Workspace.create", "Workspace.get"):
            advice = "in a job: run.experiment.workspace, of the run from Run.get_context()"
            yield script.warn(call, f"{ast.unparse(call.func)} in a step script: 401 in a job", advice)


def _parallel_run(script: Script) -> Iterator[Check]:
    """A ParallelRunStep script has init() and run(mini_batch), and leaves unknown arguments alone."""
    defined = {node.name: node for node in script.tree.body if isinstance(node, ast.FunctionDef)}
    if "init" not in defined or defined["init"].args.args:
        return
    if "run" not in defined:
        yield script.warn(
            defined["init"], "init() without run(mini_batch)", "a ParallelRunStep script needs both"
        )
    for call in script.named("parse_args"):
        yield script.warn(
            call, "parse_args() with init()", "parse_known_args(): the driver adds arguments of its own"
        )


def _logging_is_sound(script: Script) -> Iterator[Check]:
    """What the logging guides of the years have led to."""
    own = script.named("AzureLogHandler")
    with_us = "amllog" in script.imported()
    for call in own[1:]:
        yield script.warn(call, "a second AzureLogHandler", "each record is sent once per handler: keep one")
    for call in own[:1] if with_us else ():
        yield script.warn(
            call, "an AzureLogHandler beside amllog", "amllog sends each record once, in its stead: remove it"
        )
    for call in script.named("basicConfig", "setLevel"):
        if own and "DEBUG" in ast.unparse(call):
            yield script.warn(
                call, "DEBUG with an AzureLogHandler", "libraries' chatter is sent as well: use INFO"
            )
    for call in script.named("getLogger", "get_logger"):
        if (_texts(call) or [""])[0].split(".")[0] == "azureml":
            yield script.warn(
                call,
                "a logger named azureml.*",
                "amllog leaves out azureml's own lines below WARNING: rename",
            )
    if with_us and not script.named("amllog.setup", "setup"):
        node = script.imported()["amllog"]
        yield script.warn(
            node,
            "amllog is imported and never set up here",
            "amllog.setup() in the script that the step runs",
        )


def _more_than_prints(script: Script) -> Iterator[Check]:
    """Prints reach the driver log alone."""
    prints = script.named("print")
    logs = script.named(*_LOG_CALLS)
    if prints and not logs and not {"logging", "amllog"} & script.imported().keys():
        advice = "import amllog; log = amllog.setup(), then log.info(…); or AMLLOG_CAPTURE=logging,exceptions,prints"
        yield script.warn(prints[0], "only prints: they reach the driver log and nothing else", advice)


def _ends_are_told(script: Script) -> Iterator[Check]:
    """`raise SystemExit(3)` calls nothing, so that amllog cannot see the code."""
    raised = (node.exc for node in ast.walk(script.tree) if isinstance(node, ast.Raise))
    for call in raised if "amllog" in script.imported() else ():
        if isinstance(call, ast.Call) and _name(call.func) == "SystemExit" and call.args:
            said = f"{ast.unparse(call)} is raised: the step counts as done, whatever the exit code"
            yield script.warn(call, said, f"sys.exit({ast.unparse(call.args[0])}), which amllog sees")


RULES: tuple[Rule, ...] = (
    _folder_is_made, _packages_are_there, _step_is_reused, _own_folders, _not_mounted, _no_workspace_in_a_job,
    _parallel_run, _logging_is_sound, _more_than_prints, _ends_are_told,
)  # fmt: skip


def _name(node: ast.AST) -> str:
    """`a.b.c` of a name or an attribute; what is before a call or an index is left out."""
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _ends(name: str, names: tuple[str, ...]) -> bool:
    return any(name == one or name.endswith(f".{one}") for one in names)


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _texts(call: ast.Call) -> list[str]:
    return [text for text in map(_text, call.args) if text]


def _mode(call: ast.Call) -> str:
    given = [_text(keyword.value) for keyword in call.keywords if keyword.arg == "mode"]
    return given[0] if given else (_text(call.args[1]) if len(call.args) > 1 else "r")


def _calls_a_clock(node: ast.AST) -> bool:
    clocks = ("now", "utcnow", "today", "time.time", "strftime", "uuid4")
    return any(isinstance(one, ast.Call) and _ends(_name(one.func), clocks) for one in ast.walk(node))
