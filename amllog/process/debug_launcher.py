"""Run a command line of Python under the debugger. A stand-alone program for interpreters without amllog.

    python debug_launcher.py [options] -- [interpreter options] (FILE | -m MODULE | -c CODE) [arguments]

A script sees the arguments, `__main__` module and `sys.path` that Python gives it. Child processes and ranks other than
0 run without a listener of their own. The debugger debugs child processes, once it is attached. Without debugpy, the
command runs too, after a message.
"""

from __future__ import annotations

import argparse
import builtins
import importlib.util
import os
import runpy
import sys
import types
import zipfile
from importlib.machinery import SourceFileLoader
from typing import Any, NamedTuple

# Since Python 3.14, `__file__` of the main script is deleted before `sys.excepthook` is called.
_OUR_FILES = (__file__, runpy.__file__)
_FLAGS_WITH_VALUE = "WX"
_FLAGS_WITHOUT_PROGRAM = "hVx?"
# The first that is set is the rank: torch.distributed, Open MPI, MPICH, both generations of Azure ML's runtime.
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "AZUREML_CR_NODE_RANK", "AZ_BATCHAI_TASK_INDEX")


class Program(NamedTuple):
    """The parts of a command line of Python. `kind`: file, -m, -c, or "" if there is nothing to debug."""

    kind: str
    target: str = ""
    arguments: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def parse_command_line(words: list[str]) -> Program:
    """Return the parts of the arguments of an interpreter (docs.python.org, "Command line and environment")."""
    flags: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word == "--check-hash-based-pycs" and rest:
            flags += [word, rest.pop(0)]
            continue
        if word.startswith("--"):
            return Program("")
        for index, letter in enumerate(word[1:], 1):
            if letter in _FLAGS_WITHOUT_PROGRAM:
                return Program("")
            if letter in "cm":
                flags += [word[:index]] if index > 1 else []
                values = [word[index + 1 :]] if word[index + 1 :] else rest[:1]
                rest = rest if word[index + 1 :] else rest[1:]
                return Program(f"-{letter}", values[0], tuple(rest), tuple(flags)) if values else Program("")
            if letter in _FLAGS_WITH_VALUE:
                flags += [word] if word[index + 1 :] else [word, *rest[:1]]
                rest = rest if word[index + 1 :] else rest[1:]
                break
        else:
            flags.append(word)
    if not rest or rest[0] == "-":
        return Program("")
    return Program("file", rest[0], tuple(rest[1:]), tuple(flags))


def main(words: list[str]) -> None:
    """Listen, wait and run the program."""
    own, command = words[: words.index("--")], words[words.index("--") + 1 :]
    options = _parse_options(own)
    program = parse_command_line(command)
    rank = next((os.environ[name].strip() for name in _RANKS if os.environ.get(name, "").strip()), "0")
    if not program.kind or rank != "0" or (options.marker and os.environ.get(options.marker)):
        os.execv(sys.executable, [sys.executable, *command])
    if program.flags:
        rest = [program.target] if program.kind == "file" else [program.kind, program.target]
        os.execv(
            sys.executable,
            [sys.executable, *program.flags, __file__, *own, "--", *rest, *program.arguments],
        )
    if options.marker:
        os.environ[options.marker] = str(os.getpid())
    if sys.path and os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
        del sys.path[0]  # amllog's own modules
    try:
        _listen(options)
    except KeyboardInterrupt:
        _report("stopped by Ctrl-C while it waited for a debugger")
        sys.exit(130)
    sys.excepthook = _print_exception
    _run(program)


def _parse_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="debug_launcher.py")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5678)
    parser.add_argument("--fixed-port", action="store_true", help="use no other port if this one is in use")
    parser.add_argument("--seconds", type=float, default=300.0, help="the limit of the wait")
    parser.add_argument("--source", default="", help="the folder of which the working directory is a copy")
    parser.add_argument("--name", default="amllog", help="the name in launch.json")
    parser.add_argument("--debugpy", default="", help="a folder with debugpy, if the interpreter has none")
    parser.add_argument("--marker", default="", help="a variable that is set for child processes")
    return parser.parse_args(words)


def _report(message: str) -> None:
    sys.stdout.write(f"amllog: {message}\n")
    sys.stdout.flush()


def _listen(options: argparse.Namespace) -> None:
    """Listen and wait. Report an error, and let the program run."""
    server = _load_server()
    if options.debugpy and importlib.util.find_spec("debugpy") is None:
        sys.path.append(options.debugpy)
    try:
        server.wait_for_debugger(
            server.DebugOptions(
                options.host, options.port, options.fixed_port, options.seconds, options.source, options.name
            ),
            _report,
        )
    except ImportError as error:
        _report(f"no debugger ({error}). To install it: {sys.executable} -m pip install debugpy")
    except (OSError, RuntimeError, ValueError) as error:
        _report(f"no debugger: it cannot listen on {options.host}:{options.port} ({error})")
    finally:
        if options.debugpy in sys.path:
            sys.path.remove(options.debugpy)


def _load_server() -> Any:
    """Return `debug_server`, which is beside this file. The package `amllog` may be missing, or another version."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "debug_server.py")
    spec = importlib.util.spec_from_file_location("amllog_debug_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _run(program: Program) -> None:
    """Run the program as Python does."""
    is_safe = bool(getattr(sys.flags, "safe_path", False) or sys.flags.isolated)
    if program.kind == "-m":
        _prepare("-m", program.arguments, None if is_safe else os.getcwd())
        _run_module(program.target, changes_argv=True)
        return
    if program.kind == "-c":
        _prepare("-c", program.arguments, None if is_safe else "")
        _execute("<string>", program.target.encode(), {})
        return
    path = os.path.abspath(program.target)
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        _prepare(program.target, program.arguments, path)
        _run_module("__main__", changes_argv=False)
        return
    _prepare(program.target, program.arguments, None if is_safe else os.path.dirname(os.path.realpath(path)))
    if not os.path.isfile(path):
        sys.stderr.write(f"{sys.executable}: can't open file {path!r}: [Errno 2] No such file or directory\n")
        sys.exit(2)
    with open(path, "rb") as file:
        content = file.read()
    _execute(path, content, {"__file__": path, "__loader__": SourceFileLoader("__main__", path)})


def _prepare(name: str, arguments: tuple[str, ...], directory: str | None) -> None:
    sys.argv[:] = [name, *arguments]
    if directory is not None:
        sys.path.insert(0, directory)


def _print_exception(
    kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
) -> None:
    """Print an exception as Python does, without the frames of this program."""
    while trace is not None and trace.tb_frame.f_code.co_filename in _OUR_FILES:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


def _run_module(name: str, *, changes_argv: bool) -> None:
    """Run a module as Python does.

    The public functions of runpy delete `__main__` at their end, while threads may need it.
    """
    run_as_main: Any = vars(runpy)["_run_module_as_main"]
    _replace_main({})
    run_as_main(name, changes_argv)


def _execute(path: str, content: bytes, names: dict[str, Any]) -> None:
    """Execute code as the module `__main__`."""
    exec(compile(content, path, "exec", dont_inherit=True), _replace_main(names))


def _replace_main(names: dict[str, Any]) -> dict[str, Any]:
    """Put a new module in the place of this program, until the process ends. Return its namespace."""
    module = types.ModuleType("__main__")
    module.__dict__.update(names, __builtins__=builtins)
    sys.modules["__main__"] = module
    return module.__dict__


if __name__ == "__main__":
    main(sys.argv[1:])
