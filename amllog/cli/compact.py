"""`amllog compact`: write old journal files as Parquet, one folder per run."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from amllog.cli import output
from amllog.cli.directory_argument import add_directory, journal_directory
from amllog.insights.reports.rendering import pluralize
from amllog.record.text import escape_controls

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SIZES = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def add_command(commands: Any, command: Callable[..., ArgumentParser]) -> None:
    """Add the command to `commands`. `command` creates a parser."""
    parser = command(
        commands,
        "compact",
        "write old journal files as Parquet, which is smaller and faster to query",
        "\n\nWrites one folder per pipeline run below DIR/compacted. Spark, Fabric and Azure Data Explorer can read\n"
        "them, too (docs/scale.md). The journal files are kept. Needs pip install 'amllog[insights]'.",
        "  amllog compact\n  amllog compact downloaded/logs/amllog --idle 0s --json",
    )
    add_directory(parser)
    parser.add_argument(
        "--idle",
        type=_idle_time,
        default=timedelta(minutes=10),
        metavar="TIME",
        help="only files not written to for this long: 0s, 24h, 7d (default: 10m)",
    )


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Compact a directory and print the result."""
    from amllog.insights.stores.local.compaction import compact

    directory = journal_directory(options, environ)
    has_progress = sys.stderr.isatty() and not options.json
    result = compact(directory, idle=options.idle, progress=_print_progress if has_progress else None)
    if options.json:
        output.print_answer(output.to_json({"directory": str(directory), **result._asdict()}))
        return 0
    if result.sources:
        before = f"{pluralize(result.sources, 'journal file')}, {_format_size(result.source_bytes)}"
        after = f"{pluralize(result.outputs, 'Parquet file')}, {_format_size(result.output_bytes)}"
        output.print_answer(
            f"before: {before}\nafter:  {after}, below {escape_controls(str(directory / 'compacted'))}"
        )
    else:
        output.print_answer("nothing to compact")
    reasons = (
        (result.written, "written to recently (--idle) or still open"),
        (result.before, "compacted before"),
        (result.empty, "without records"),
        (result.too_long, "with a run id that is too long for the name of a folder"),
        (result.others, "of a user other than you, root and the owner of the directory"),
    )
    for number, reason in reasons:
        if number:
            output.print_answer(f"left:   {pluralize(number, 'file')}, {reason}")
    for path_and_reason in result.unread:
        output.print_notice(f"not read: {path_and_reason}")
    if result.unknown:
        verb, files = ("is", "it") if result.unknown == 1 else ("are", "them")
        output.print_notice(
            f"{pluralize(result.unknown, 'Parquet file')} {verb} not in the manifest; "
            f"amllog ignores {files}, other readers do not"
        )
    if result.sources:
        output.print_notice("the journal files are kept; `amllog status` shows which are not delivered yet")
    return 0


def _print_progress(done: int, total: int) -> None:
    output.print_notice(f"{_format_size(done)} of {_format_size(total)}")


def _format_size(size: int) -> str:
    for unit, name in _SIZES:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return pluralize(size, "byte")


def _idle_time(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r}: expected a whole number and s, m, h or d, such as 10m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
