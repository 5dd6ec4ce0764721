"""The query commands of the parser, and the arguments that they share."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from amllog.cli import argument_values, time_zones
from amllog.config.variables import DIRECTORY, JOB_DIRECTORY, LOCAL_DIRECTORY
from amllog.errors import UsageError
from amllog.insights.query import instants
from amllog.record.line_format import LEVEL_NAMES

RUN = "the id of a run or step, the beginning of an id, `last` (the default), `last~1`, or `all`"
_DIRECTORIES = (
    "a directory with journals, including all folders below it; may be repeated "
    f"(default: {DIRECTORY}, or ./{LOCAL_DIRECTORY} and ./{JOB_DIRECTORY})"
)
_SCOPES = (
    ("--resource-id", "query this Application Insights resource or workspace (AMLLOG_RESOURCE_ID)"),
    ("--workspace-id", "query this Log Analytics workspace (AMLLOG_WORKSPACE_ID)"),
    ("--app-id", "query this Application Insights app (AMLLOG_APP_ID)"),
)
_FILTERS = (
    ("--last", "TIME", "only this long before now, such as 7d, 24h, 1h30m or 90s"),
    (
        "--since",
        "TIME",
        "only from this time on, such as 2026-11-22T10:00, yesterday, 10:00 or 2h (in UTC or --tz)",
    ),
    ("--until", "TIME", "only before this time"),
    ("--step-name", "NAME", "only steps with this name; may be repeated"),
    ("--step-id", "ID", "only this step; may be repeated"),
    ("--experiment-name", "NAME", "only this experiment; may be repeated"),
    ("--run-type", "TYPE", "only this run_type; may be repeated"),
)
_NAMES = tuple(name.lstrip("-").replace("-", "_") for name, *_ in _FILTERS)
_REPEATABLE = ("--step-name", "--step-id", "--experiment-name", "--run-type")
CommandFactory = Callable[..., ArgumentParser]


def add_commands(commands: Any, command: CommandFactory) -> None:
    """Add the query commands to `commands`. `command` creates a parser."""
    examples = "  amllog runs\n  amllog runs --last 7d --experiment-name digits"
    runs = command(commands, "runs", "list the runs, the latest last", examples=examples)
    _add_query_arguments(runs, run=False)
    _add_lines(runs, None, "only the last N runs", "--limit")
    _add_query_arguments(command(commands, "steps", "list the steps of a run with state and duration"))
    _add_log_commands(commands, command)
    examples = "  amllog exceptions all --last 30d"
    exceptions = command(
        commands, "exceptions", "count the exceptions of a run by type and location", examples=examples
    )
    _add_query_arguments(exceptions)
    examples = "  amllog metrics\n  amllog metrics last --name loss --values"
    metrics = command(commands, "metrics", "show the metrics of a run", examples=examples)
    _add_query_arguments(metrics)
    metrics.add_argument("--name", metavar="METRIC", help="only this metric")
    metrics.add_argument("--values", action="store_true", help="every value instead of one line per metric")
    sentence = "show the steps, spans, events, warnings and errors of a run as a tree"
    _add_query_arguments(command(commands, "timeline", sentence))
    _add_report_commands(commands, command)
    _add_free_query(commands, command)
    _add_tail(commands, command)


def _add_log_commands(commands: Any, command: CommandFactory) -> None:
    examples = """\
  amllog logs
  amllog logs 93102 --level WARNING --contains 'out of memory'
  amllog logs --json | jq '.[].dimensions.epoch'
  amllog logs --driver --level ERROR"""
    logs = command(commands, "logs", "show the logs and exceptions of a run in time order", examples=examples)
    _add_query_arguments(logs, text_filters=True)
    _add_limit(logs)
    _add_lines(logs, None, "only the last N lines")
    _add_follow(logs)
    text = "show the driver logs: all that the script wrote, with the dimensions of our lines"
    logs.add_argument("--driver", action="store_true", help=text)
    text = "with --driver: also the lines and files that the runtime of Azure ML writes"
    logs.add_argument("--runtime", action="store_true", help=text)
    examples = """\
  amllog errors
  amllog errors all --step-name train
  amllog errors --dir downloaded/logs
  amllog errors --kql --dialect workspace"""
    sentence = "show exceptions with stacks, error records and failed steps of a run"
    more = "Exit code 1 if there are any, and 2 if not all records could be read."
    errors = command(commands, "errors", sentence, more, examples)
    _add_query_arguments(errors, text_filters=True)
    _add_limit(errors)


def _add_report_commands(commands: Any, command: CommandFactory) -> None:
    more = "Shows the steps, the failures with context, missing records, and the next commands and links."
    examples = "  amllog story\n  amllog story 93102"
    story = command(commands, "story", "describe what happened in a run", more, examples)
    _add_run(story)
    _add_store(story)
    _add_formats(story, "print its steps as CSV")
    more = "Compares step durations, the last values of metrics, messages and counts by level."
    examples = "  amllog compare\n  amllog compare 4c0de 93102"
    compare = command(commands, "compare", "compare two runs", more, examples)
    compare.add_argument(
        "first", nargs="?", default="last~1", metavar="FIRST", help="a run (default: last~1)"
    )
    compare.add_argument(
        "second", nargs="?", default="last", metavar="SECOND", help="the other run (default: last)"
    )
    _add_store(compare)
    _add_formats(compare, "print one line of CSV for each number and message")


def _add_free_query(commands: Any, command: CommandFactory) -> None:
    more = """

The service runs it unchanged. For journals, it needs
pip install 'amllog[insights]', and a part of KQL runs."""
    examples = "  amllog query 'traces | where severityLevel >= 3 | summarize count() by message'"
    query = command(commands, "query", "run a KQL query", more, examples)
    query.add_argument("kql", nargs="*", metavar="KQL", help="the query, or - for stdin")
    query.add_argument(
        "-f", "--file", type=Path, metavar="FILE", help="the file with the query, or - for stdin"
    )
    _add_store(query)
    _add_formats(query)


def _add_tail(commands: Any, command: CommandFactory) -> None:
    examples = "  amllog tail -f\n  amllog tail -n 100 93102"
    tail = command(commands, "tail", "show the last lines of a run and follow it", examples=examples)
    _add_lines(tail, 10, "the number of lines (default: 10)")
    _add_follow(tail)
    _add_query_arguments(tail, tables=False, text_filters=True)


def _add_lines(command: ArgumentParser, default: int | None, text: str, more: str = "--tail") -> None:
    command.add_argument(
        "-n", "--lines", more, type=argument_values.line_count, default=default, metavar="N", help=text
    )


def _add_follow(command: ArgumentParser) -> None:
    text = "print new lines until all steps have ended, or Ctrl-C"
    command.add_argument("-f", "--follow", action="store_true", help=text)
    text = "the polling interval (default: 1)"
    command.add_argument("--every", type=argument_values.seconds, default=1.0, metavar="SECONDS", help=text)


def passed_filters(options: Namespace) -> dict[str, Any]:
    """Return the filters that were passed, as arguments of the methods of `Insights`."""
    names = (*_NAMES, "level", "contains")
    filters = {name: getattr(options, name) for name in names if getattr(options, name, None)}
    for name in {"since", "until"} & filters.keys():
        zone = getattr(options, "tz", None) or timezone.utc
        filters[name] = (
            instants.parse_instant(filters[name], datetime.now(timezone.utc), zone) or filters[name]
        )
    where = dict(_split_condition(text) for text in getattr(options, "where", None) or ())
    return {**filters, "where": where} if where else filters


def _split_condition(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f"--where {text!r}: expected KEY=VALUE, such as epoch=3")
    return key, value


def _add_run(command: ArgumentParser) -> None:
    command.add_argument("run", nargs="?", metavar="RUN", help=RUN)


def _add_query_arguments(
    command: ArgumentParser, *, run: bool = True, tables: bool = True, text_filters: bool = False
) -> None:
    """Add the run, the filters, the store and the output formats.

    Without `tables`, JSON and CSV have one line per record, and the KQL cannot be printed.
    """
    if run:
        _add_run(command)
    for name, value, text in _FILTERS:
        more: Any = {"action": "append"} if name in _REPEATABLE else {}
        command.add_argument(name, metavar=value, help=text, **more)
    text = "only with this dimension; may be repeated, and all must match"
    command.add_argument("--where", action="append", metavar="KEY=VALUE", help=text)
    _add_store(command)
    text = "the zone of times in text: UTC (the default), local, +02:00, or Europe/Berlin"
    command.add_argument("--tz", type=time_zones.parse_zone, metavar="ZONE", help=text)
    if tables:
        text = "print the KQL instead of running the query"
        command.add_argument("--kql", dest="kql_only", action="store_true", help=text)
        _add_formats(command)
    else:
        _add_formats(command, "print one line of CSV per record", "print one line of JSON per record")
    if text_filters:
        text = f"only this level and above ({', '.join(LEVEL_NAMES)})"
        command.add_argument(
            "--level", type=argument_values.level, choices=LEVEL_NAMES, metavar="LEVEL", help=text
        )
        text = "only with this text in the message or stack, case-insensitive"
        command.add_argument("--contains", metavar="TEXT", help=text)
        command.add_argument(
            "--grep", dest="contains", type=argument_values.plain_text, metavar="TEXT", help="the same"
        )


def _add_store(command: ArgumentParser) -> None:
    command.add_argument(
        "--dir", "--directory", action="append", type=Path, default=[], metavar="DIR", help=_DIRECTORIES
    )
    for name, text in _SCOPES:
        command.add_argument(name, metavar="ID", help=text)
    text = "the table names: traces … or AppTraces … (default: those of the service)"
    command.add_argument("--dialect", choices=("classic", "workspace"), help=text)


def _add_formats(
    command: ArgumentParser, csv: str = "print the answer as CSV", json: str = "print the answer as JSON"
) -> None:
    formats = command.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help=json)
    formats.add_argument("--csv", action="store_true", help=csv)


def _add_limit(command: ArgumentParser) -> None:
    text = "the maximum number of lines (default: all)"
    command.add_argument("--limit", type=argument_values.line_count, metavar="N", help=text)
