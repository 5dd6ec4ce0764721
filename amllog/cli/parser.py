"""The argument parser of the whole command.

`docs/make_cli.py` generates docs/cli.md from it.
"""

from __future__ import annotations

import argparse
import re
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, NoReturn

from amllog.__version__ import __version__
from amllog.cli import argument_values, output, pipeline_options
from amllog.cli.directory_argument import add_directory
from amllog.record.text import escape_controls

ABOUT = """\
Logging for Azure Machine Learning: read logs and metrics, find errors, and check the delivery."""
AFTER = """\
first steps:
  amllog run train.py       run an unchanged script with amllog
  amllog run pipeline.yml   run a pipeline of Azure ML on this machine
  amllog story              describe the last run
  amllog errors             list its errors, with stacks
  amllog status             check that all records were delivered
  amllog doctor             check the setup of this machine

exit codes: 0 success; 1 bad news (errors found, records refused, a check failed); 2 wrong usage,
or a failed request; 130 Ctrl-C"""


class Parser(ArgumentParser):
    """An ArgumentParser that escapes control characters of the arguments in its messages."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with 2."""
        super().error(escape_controls(message))

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            output.print_message(message, file or sys.stderr)


def parser(command: str = "") -> ArgumentParser:
    """Return the parser of the whole command line. For the command `run`, it has no other command.

    The options of the others take longer to import and to add than a small step takes to start.
    """
    return _build(only_run=command == "run")[0]


def options_of(command: str) -> list[str]:
    """Return the options of a command."""
    text = _build()[1].choices[command].format_help()
    return list(dict.fromkeys(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", text)))


def _build(*, only_run: bool = False) -> tuple[ArgumentParser, Any]:
    """Return the parser and its commands."""
    top = Parser(
        prog="amllog", description=ABOUT, epilog=AFTER, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"amllog {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    _add_run(commands)
    if not only_run:
        _add_others(commands)
    return top, commands


def _add_others(commands: Any) -> None:
    """Add all commands but `run`."""
    from amllog.cli import alert, compact, fetch, query_arguments, serve

    _add_demo(commands)
    serve.add_command(commands, _command)
    query_arguments.add_commands(commands, _command)
    _add_delivery_commands(commands)
    fetch.add_command(commands, _command)
    compact.add_command(commands, _command)
    alert.add_commands(commands, _command)


def _command(commands: Any, name: str, help: str, more: str = "", examples: str = "") -> ArgumentParser:
    """Add a command. `more` continues its description, in a new paragraph if it begins with a line feed."""
    separator = " " if more and not more.startswith("\n") else ""
    command: ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.{separator}{more}",
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return command


def _add_run(commands: Any) -> None:
    run = _command(
        commands,
        "run",
        "run an unchanged script or pipeline on this machine with amllog",
        "\n\nA script runs in this process. Settings come from the environment (docs/settings.md), and everything\n"
        "after the script belongs to it. Its exit code is kept. A non-zero exit code or an uncaught exception\n"
        "marks the step as failed.\n\n"
        "A pipeline, job or component file in Azure ML's format is checked first. Then each step runs in a\n"
        "process of its own with the environment of a job, below ./amllog-runs (docs/local-pipelines.md).\n"
        "Exit code 0 if all steps completed, 1 if one failed or --check found errors, 2 if nothing was run,\n"
        "and 130 after Ctrl-C.",
        "  amllog run train.py --epochs 3\n  AMLLOG_DIMENSIONS=team=nlp amllog run -m package.train\n"
        "  amllog run --check pipeline.yml\n"
        "  amllog run pipeline.yml --data scores@latest=data/scores --env train-env=.venv/bin/python\n"
        "  amllog run component.yml --input rate=0.1",
    )
    run.add_argument(
        "-m", dest="is_module", action="store_true", help="SCRIPT is the name of a module, as in python -m"
    )
    pipeline_options.add_options(run)
    run.add_argument(
        "script", metavar="SCRIPT", help="the script to run, or a pipeline, job or component file (.yml)"
    )
    run.add_argument(
        "args",
        nargs=argparse.REMAINDER,
        metavar="ARGS",
        help="the arguments of the script, or more options for the file",
    )


def _add_demo(commands: Any) -> None:
    _command(
        commands,
        "demo",
        "run the example pipeline on this machine, without Azure",
        "\n\nThree steps on a real data set, with a local stand-in for Azure. The demo writes its files\n"
        "below ./.amllog/demo. Needs pip install 'amllog[demo]'.",
    )


def _add_delivery_commands(commands: Any) -> None:
    status = _command(
        commands,
        "status",
        "show how many records were accepted, delivered and refused, and how many wait",
        "Exit code 1 if anything was refused, and 2 if no file could be read.",
        "  amllog status\n  amllog status logs/amllog --json",
    )
    add_directory(status)
    deliver = _command(
        commands,
        "deliver",
        "deliver records left behind by processes that have ended",
        "\n\nThe environment names the destinations: Application Insights by\n"
        "APPLICATIONINSIGHTS_CONNECTION_STRING, and run metrics inside a job by AZUREML_*.\n"
        "Exit code 1 if records are refused or still waiting.",
        "  amllog deliver\n  amllog deliver logs/amllog --timeout 300 --resend-old",
    )
    add_directory(deliver)
    deliver.add_argument(
        "--timeout",
        type=argument_values.seconds,
        default=60.0,
        metavar="SECONDS",
        help="the time limit (default: 60)",
    )
    deliver.add_argument(
        "--resend-old",
        action="store_true",
        help="send records older than 48 hours, which Application Insights refuses, with the current "
        "time; their time becomes the dimension original_time",
    )
    doctor = _command(
        commands,
        "doctor",
        "check this machine and scripts for known problems",
        "Exit code 1 if a check failed.",
        "  amllog doctor\n  amllog doctor train.py pipeline.py\n  amllog doctor --send",
    )
    doctor.add_argument("scripts", nargs="*", type=Path, metavar="SCRIPT", help="scripts to check, too")
    doctor.add_argument("--send", action="store_true", help="send a test record and wait for the response")
    _add_json(doctor)


def _add_json(command: ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print the answer as JSON")
