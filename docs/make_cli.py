"""Write docs/cli.md from the argument parser of the command line: `make docs`. tests/cli/test_parser.py compares them.

The output of --help is not used, because its format differs between versions of Python.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from amllog.cli.parser import AFTER, parser

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# Command line

Generated from `amllog/cli/parser.py` by `make docs`. Do not edit.

`python -m amllog` is the same command. The answer goes to stdout and notices go to stderr. Output is coloured on a
terminal, unless `NO_COLOR` is set or `CLICOLOR=0`. `FORCE_COLOR` and `CLICOLOR_FORCE` colour it everywhere.
"""


def page() -> str:
    """Return the whole page."""
    top = parser()
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    sections = (_section(name, command) for name, command in commands.choices.items())
    return "\n".join([HEAD, _block(AFTER), *sections])


def _section(name: str, command: argparse.ArgumentParser) -> str:
    actions = [action for action in command._actions if not isinstance(action, argparse._HelpAction)]
    arguments = [_usage(action) for action in actions if not action.option_strings]
    options = ["[options]"] if any(action.option_strings for action in actions) else []
    lines = [f"## amllog {name}", "", f"`{' '.join(['amllog', name, *options, *arguments])}`", ""]
    lines += [textwrap.dedent(command.description or "").strip(), ""]
    if actions:
        rows = (f"| {_names(action)} | {_cell(action.help)} |" for action in actions)
        lines += ["| | |", "|---|---|", *rows, ""]
    if command.epilog:
        lines.append(_block(command.epilog))
    return "\n".join(lines)


def _usage(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {
        "?": f"[{name}]",
        "*": f"[{name} …]",
        "A...": f"[{name} …]",
        argparse.REMAINDER: f"[{name} …]",
    }.get(str(action.nargs), name)


def _names(action: argparse.Action) -> str:
    """Return the names of an option with its value. Choices are the value of an option without a metavar."""
    metavar = action.metavar or "|".join(map(str, action.choices or ()))
    value = f" {metavar}" if action.option_strings and action.nargs != 0 else ""
    value = value.replace("|", "\\|")  # it separates the cells of a table
    return ", ".join(f"`{name}{value}`" for name in action.option_strings) or f"`{action.metavar}`"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
