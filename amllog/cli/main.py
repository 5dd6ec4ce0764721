"""Dispatch a command and return its exit code.

The exit codes are 0 for success, 1 for bad news in the answer, 2 for wrong usage or a failed request, and 130 for
Ctrl-C. Modules are imported when they are needed, so that Ctrl-C during an import prints no traceback.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module

from amllog.errors import AmllogError, UsageError

# The module of each command. Its function `run` takes the options and the environment, and returns the exit code.
COMMANDS = {
    "run": "run_command",
    **dict.fromkeys(
        ("runs", "steps", "logs", "errors", "exceptions", "metrics", "timeline"), "query_commands"
    ),
    **dict.fromkeys(("story", "compare", "query", "tail"), "query_commands"),
    "status": "status",
    "deliver": "deliver",
    "fetch": "fetch",
    "serve": "serve",
    "doctor": "doctor.doctor",
    "demo": "demo",
    "compact": "compact",
    "alert": "alert",
    "workbook": "alert",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    chosen = Namespace(command="")
    with _without_closed_streams():
        code = _run(arguments, chosen)
    if chosen.command != "run":  # the end of a script also ends its step
        _exit_if_a_statement_runs(code)
    return code


@contextmanager
def _without_closed_streams() -> Iterator[None]:
    """Send streams that the shell has closed (`>&-`, None in Python) to the null device."""
    if sys.stdout is not None and sys.stderr is not None:
        yield
        return
    with (
        open(os.devnull, "w", encoding="utf-8") as null,
        redirect_stdout(sys.stdout or null),
        redirect_stderr(sys.stderr or null),
    ):
        yield


def _run(arguments: Sequence[str] | None, chosen: Namespace) -> int:
    """Read the arguments into `chosen`, run the command, print its error, and return its exit code."""
    code = 0
    try:
        from amllog.cli import habits, output, parser, pipeline_options

        words = habits.rewrite(sys.argv[1:] if arguments is None else arguments, COMMANDS)
        words = pipeline_options.complete_debug(words)
        if not (words[0].startswith("-") or words[0] in COMMANDS):
            raise UsageError(habits.explain_command(words[0], COMMANDS))
        rest = parser.parser(words[0]).parse_known_args(words, chosen)[1]
        if rest:
            options = parser.options_of(chosen.command)
            raise UsageError(habits.explain_option(chosen.command, rest, options))
        is_script = chosen.command == "run"  # its streams and errors are as Python opens and prints them
        if not is_script:
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a real stream here
        code = import_module(f"amllog.cli.{COMMANDS[chosen.command]}").run(chosen, os.environ)
        if not is_script:
            sys.stdout.flush()
    except AmllogError as error:
        output.print_notice(str(error), f"amllog {chosen.command}".strip())
        return 2
    except MemoryError:
        output.print_notice(
            "the answer needs more memory than is available: narrow the query", f"amllog {chosen.command}"
        )
        return 2
    except BrokenPipeError:  # `amllog logs | head`: the reader has closed the pipe
        output.discard_stdout()
    except OSError as error:  # for example, a full disk or a directory without permission
        output.print_notice(str(error), f"amllog {chosen.command}")
        return 2
    except KeyboardInterrupt:
        return 0 if chosen.command == "tail" else 130  # Ctrl-C is the normal end of `tail --follow`
    return code


def _exit_if_a_statement_runs(code: int) -> None:
    """End the process at once if DuckDB still runs a statement, because it did not react to an interrupt.

    Before Python 3.14, a thread that returns from DuckDB to Python while Python ends aborts the process.
    """
    connection = sys.modules.get("amllog.insights.stores.local.duckdb_connection")
    if connection is not None and connection.is_statement_running():
        try:
            import_module("amllog.insights.stores.local.temporary_directory").delete()
            sys.stdout.flush()
        finally:  # also after another Ctrl-C, or if the reader has closed the pipe
            os._exit(code)
