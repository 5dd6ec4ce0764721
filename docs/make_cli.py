"""Writes docs/cli.md from the command line's own parser: `make docs`; tests/cli/test_main.py compares.

Not from the text of --help, whose form changes from one Python to the next.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from amllog.cli.parser import AFTER, parser

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# Command line

Made from `amllog/cli/parser.py` by `make docs`; do not edit.

`python -m amllog` is the same command. The answer goes to stdout, notices to stderr; colour only on a terminal, and
not where `NO_COLOR` is set or `CLICOLOR=0`; elsewhere too where `FORCE_COLOR` or `CLICOLOR_FORCE` asks for it.
"""


def page() -> str:
    """The whole page."""
    top = parser()
    (commands,) = (one for one in top._actions if isinstance(one, argparse._SubParsersAction))
    return "\n".join([HEAD, _block(AFTER), *(_section(name, one) for name, one in commands.choices.items())])


def _section(name: str, command: argparse.ArgumentParser) -> str:
    rows = [one for one in command._actions if not isinstance(one, argparse._HelpAction)]
    words = [_usage(one) for one in rows if not one.option_strings]
    options = ["[options]"] if any(one.option_strings for one in rows) else []
    lines = [f"## amllog {name}", "", f"`{' '.join(['amllog', name, *options, *words])}`", ""]
    lines += [textwrap.dedent(command.description or "").strip(), ""]
    if rows:
        lines += ["| | |", "|---|---|", *(f"| {_named(one)} | {_cell(one.help)} |" for one in rows), ""]
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


def _named(action: argparse.Action) -> str:
    value = f" {action.metavar}" if action.option_strings and action.nargs != 0 else ""
    return ", ".join(f"`{name}{value}`" for name in action.option_strings) or f"`{action.metavar}`"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
