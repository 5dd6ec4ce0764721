"""What each command accepts, and what its --help says.

In: nothing. Out: an ArgumentParser; docs/cli.md is made from it.
"""

from __future__ import annotations

import argparse
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, NoReturn

from amllog.__version__ import __version__
from amllog.cli import alert, compact, query_arguments, rows
from amllog.record.text import escape_controls

ABOUT = """\
Logging for Azure Machine Learning: what was logged, whether it arrived, and what went wrong."""
AFTER = """\
a first look:
  amllog run train.py       run a script under amllog, without a line changed
  amllog story              what happened in the last run, in words
  amllog errors             what went wrong in it, with stacks
  amllog status             whether everything has arrived
  amllog doctor             whether this machine is set up well

exit codes: 0 fine; 1 the answer is bad news (errors found, records refused, a check failed); 2 wrong usage,
or nobody answers; 130 Ctrl-C"""


class Parser(ArgumentParser):
    """An ArgumentParser whose messages contain no control character of the arguments."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with 2."""
        super().error(escape_controls(message))

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            rows.message(message, file or sys.stderr)


def parser() -> ArgumentParser:
    """The parser of the whole command line."""
    top = Parser(
        prog="amllog", description=ABOUT, epilog=AFTER, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"amllog {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    _add_running(commands)
    query_arguments.add(commands, _command)
    _add_delivery(commands)
    compact.add(commands, _command)
    alert.add(commands, _command)
    return top


def _command(commands: Any, name: str, sentence: str, more: str = "", examples: str = "") -> ArgumentParser:
    found: ArgumentParser = commands.add_parser(
        name,
        help=sentence,
        description=f"{sentence[0].upper()}{sentence[1:]}.{more if more[:1] == chr(10) else ' ' * bool(more) + more}",
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return found


def _add_running(commands: Any) -> None:
    run = _command(
        commands, "run", "run a script under amllog, without a line changed",
        "\n\nSettings come from the environment (docs/settings.md). The script's exit code is kept;\n"
        "one that is not 0, or an uncaught exception, makes the step unsuccessful.",
        "  amllog run train.py --epochs 3\n"
        "  AMLLOG_DIMENSIONS=team=nlp amllog run -m package.train",
    )  # fmt: skip
    run.add_argument(
        "-m", dest="is_module", action="store_true", help="SCRIPT is a module's name, as in python -m"
    )
    run.add_argument("script", metavar="SCRIPT", help="the script to run")
    run.add_argument("args", nargs=argparse.REMAINDER, metavar="ARGS", help="the script's own arguments")
    _command(commands, "demo", "run the example pipeline on this machine, without Azure",
             "\n\nThree steps on a real data set, against a stand-in for Azure on loopback. What it writes is\n"
             "below ./.amllog/demo. Needs scikit-learn, and the extra amllog[local].")  # fmt: skip
    serve = _command(
        commands, "serve", "be Azure on this machine, until Ctrl-C",
        "\n\nAnswers as Application Insights and as Azure ML's run history do, on loopback only, and writes down\n"
        "what arrives. Prints the lines to export in the shell of a script, which is then a job of it. They contain\n"
        "tokens, new at each start, without which every request is rejected: keep them private.",
        "  amllog serve --directory azure --run-id my_run --step-name train > job.env &\n"
        "  source job.env && python train.py && amllog logs --dir azure/received",
    )  # fmt: skip
    serve.add_argument("--directory", type=Path, default=Path("amllog-azure"), metavar="DIR",
                       help="where to write what arrives (default: ./amllog-azure)")  # fmt: skip
    serve.add_argument("--port", type=_port, default=0, metavar="N", help="the port (default: any free one)")
    serve.add_argument(
        "--run-id", metavar="ID", help="the run to make an environment for (default: a new one)"
    )
    serve.add_argument("--step-name", default="step", metavar="NAME", help="its step's name (default: step)")
    serve.add_argument(
        "--experiment-name", default="local", metavar="NAME", help="its experiment (default: local)"
    )
    serve.add_argument("--lenient", action="store_true", help="take also what the services would refuse")


def _add_delivery(commands: Any) -> None:
    status = _command(
        commands, "status", "say what was accepted, and what of it is delivered, waiting or refused",
        "Exit code 1 if anything was refused.",
        "  amllog status\n  amllog status logs/amllog --json",
    )  # fmt: skip
    _add_directory(status)
    deliver = _command(
        commands, "deliver", "send what processes that are gone have left in the journal",
        "\n\nTo the places that the environment names: Application Insights with\n"
        "APPLICATIONINSIGHTS_CONNECTION_STRING, run metrics inside a job (AZUREML_*).\n"
        "Exit code 1 if something is refused or still waits.",
        "  amllog deliver\n  amllog deliver logs/amllog --timeout 300 --resend-old",
    )  # fmt: skip
    _add_directory(deliver)
    deliver.add_argument(
        "--timeout",
        type=query_arguments.seconds,
        default=60.0,
        metavar="SECONDS",
        help="at most (default: 60)",
    )
    deliver.add_argument("--resend-old", action="store_true",
                         help="send records older than 48 hours, which Application Insights refuses, with the present "
                         "time; their own becomes the dimension original_time")  # fmt: skip
    doctor = _command(
        commands, "doctor", "check this machine, and a script, for what usually goes wrong",
        "Exit code 1 if a check failed.",
        "  amllog doctor\n  amllog doctor train.py pipeline.py\n  amllog doctor --send",
    )  # fmt: skip
    doctor.add_argument("scripts", nargs="*", type=Path, metavar="SCRIPT", help="scripts to check as well")
    doctor.add_argument("--send", action="store_true", help="send a test record and wait for the verdict")
    _add_json(doctor)


def _add_directory(command: ArgumentParser) -> None:
    command.add_argument("directory", nargs="?", type=Path, metavar="DIR",
                         help="the journal directory (default: AMLLOG_DIR, ./.amllog or ./logs/amllog)")  # fmt: skip
    _add_json(command)


def _add_json(command: ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="the answer as JSON")


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 (any free one) to 65535")
    return int(text)
