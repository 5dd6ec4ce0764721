"""Decide what the command line of `amllog run` names, before anything is recorded.

A file that is no Python would fail with a SyntaxError, as a failed run in the journal. Or it would succeed, if it
happens to be valid Python.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from amllog.config import user_path
from amllog.errors import UsageError

_LAUNCHERS = (
    "python",
    "python3",
    "torchrun",
    "accelerate",
    "bash",
    "sh",
    "uv",
    "poetry",
    "mpirun",
    "deepspeed",
    "horovodrun",
)
_OTHERS = {
    ".ipynb": "a notebook: call amllog.setup() in its first cell, or convert it (jupyter nbconvert --to script {})",
    **dict.fromkeys(
        (".sh", ".bash", ".ps1", ".cmd"), "a shell script: use amllog run in the line that starts Python"
    ),
    **dict.fromkeys((".r", ".jl", ".ts", ".js", ".exe", ".so"), "not a Python script"),
}
_COMMAND = re.compile(
    r"^\s*(?:- )?\W?command\W?\s*:\s*[>|]?-?\s*[\"']?(.*\bpython\S*\s+(?:-m\s+)?\S+\.py\b.*)$", re.MULTILINE
)
_SCRIPT_WORD = re.compile(r"[\w./-]+\.py\b")
_READ_BYTES = 1_000_000


def check_target(target: str, arguments: Sequence[str]) -> None:
    """Raise UsageError with the right command if `target` is no script, and no directory or archive of one."""
    path = Path(target)
    if target in ("-c", "-"):
        raise UsageError(f"amllog run takes a file, and not {target}: write the code to a file")
    if user_path.is_directory(path) and (path / "__main__.py").is_file():
        return
    if not user_path.is_file(path):
        raise UsageError(_missing(target, arguments))
    suffix = path.suffix.lower()
    if path.name == "MLproject":
        raise UsageError(_definition(path))
    if suffix in _OTHERS:
        raise UsageError(f"{target} is {_OTHERS[suffix].format(target)}")
    if suffix not in (".py", ".pyw", ".pyz", ".zip", ".pyc"):
        _check_source(path)


def _missing(target: str, arguments: Sequence[str]) -> str:
    script = next((word for word in arguments if word.endswith(".py")), "")
    if target in _LAUNCHERS:
        words = " ".join(arguments[arguments.index(script) :]) if script else "train.py"
        return (
            f"{target} starts another process: use amllog run {words}, or call amllog.setup() in the script"
        )
    if user_path.is_file(Path(f"{target}.py")):
        return f"there is no script {target} in {Path.cwd()}: did you mean amllog run {target}.py?"
    near = difflib.get_close_matches(target, [path.name for path in Path().glob("*.py")], n=1)
    hint = f"did you mean amllog run {near[0]}?" if near else f"for a module: amllog run -m {target}"
    return f"there is no script {target} in {Path.cwd()}; {hint}"


def _definition(path: Path) -> str:
    """Return what to do with the definition of a job or a pipeline."""
    with path.open("rb") as file:
        text = file.read(_READ_BYTES).decode("utf-8", "replace")
    commands = [match[1].strip() for match in _COMMAND.finditer(text)][:3]
    scripts = [found[0] for found in map(_SCRIPT_WORD.search, commands) if found]
    named = f" Its commands are: {'; '.join(commands)}" if commands else ""
    script = scripts[0] if scripts else "train.py"
    return (
        f"{path} defines a job and is no script. Run the script of one step: amllog run {script}. "
        f"Submit the whole job: az ml job create -f {path}.{named}"
    )


def _check_source(path: Path) -> None:
    """Raise UsageError if a file without the suffix of Python is no Python."""
    content = path.read_bytes()
    try:
        if b"\0" in content[:_READ_BYTES] or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ValueError("it is not a text in UTF-8")
        compile(content, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{path} is not a Python script ({error})") from error
