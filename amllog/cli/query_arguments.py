"""What the commands that read accept, and what their --help says.

In: the parser's subcommands. Out: the same with runs, steps, logs, errors, exceptions, metrics, timeline, story,
compare, query, tail.
"""

from __future__ import annotations

import argparse
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUN = "a run's or step's id, the beginning of one, `last` (the default), `last~1`, or `all`"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_WHERE = (
    "where the journals are, with all folders below; several may be given (default: AMLLOG_DIR, else ./.amllog \
and ./logs/amllog)"
)
_IDS = (
    ("--resource-id", "ask Application Insights: its resource id, or a workspace's (AMLLOG_RESOURCE_ID)"),
    ("--workspace-id", "ask this Log Analytics workspace (AMLLOG_WORKSPACE_ID)"),
    ("--app-id", "ask this Application Insights app (AMLLOG_APP_ID)"),
)
_NARROW = (
    ("--last", "TIME", "of the last 7d, 24h, 30m, 90s"),
    ("--since", "TIME", "from this time on, such as 2026-11-22T10:00 (UTC, unless it says otherwise)"),
    ("--until", "TIME", "before this time"),
    ("--step-name", "NAME", "of steps with this name; several may be given"),
    ("--step-id", "ID", "of this step; several may be given"),
    ("--experiment-name", "NAME", "of this experiment; several may be given"),
    ("--run-type", "TYPE", "of this run_type; several may be given"),
)
_SEVERAL = ("--step-name", "--step-id", "--experiment-name", "--run-type")
Adder = Callable[..., ArgumentParser]


def add(commands: Any, command: Adder) -> None:
    """Every command that reads; `command` adds one to `commands`."""
    _asked(command(commands, "runs", "list the runs that are known, the latest last", "",
                   "  amllog runs\n  amllog runs --last 7d --experiment-name digits"))  # fmt: skip
    _asked(_run(command(commands, "steps", "list the steps of a run with their states and durations")))
    logs = command(commands, "logs", "show logs and exceptions of a run in time order", "",
                   "  amllog logs\n  amllog logs 93102 --level WARNING --contains 'out of memory'\n"
                   "  amllog logs --json | jq '.[].dimensions.epoch'")  # fmt: skip
    _limited(_levelled(_asked(_run(logs))))
    errors = command(commands, "errors", "show what went wrong in a run: exceptions with stacks, errors, failed steps",
                     "Exit code 1 if there is anything.",
                     "  amllog errors\n  amllog errors all --step-name train\n  amllog errors --dir downloaded/logs\n"
                     "  amllog errors --kql --dialect workspace")  # fmt: skip
    _limited(_levelled(_asked(_run(errors))))
    exceptions = command(commands, "exceptions", "count a run's exceptions by type and place", "",
                         "  amllog exceptions all --last 30d")  # fmt: skip
    _asked(_run(exceptions))
    metrics = command(commands, "metrics", "show the metrics of a run", "",
                      "  amllog metrics\n  amllog metrics last --name loss --values")  # fmt: skip
    _asked(_run(metrics))
    metrics.add_argument("--name", metavar="METRIC", help="only this metric")
    metrics.add_argument("--values", action="store_true", help="every value, instead of a line per metric")
    _asked(
        _run(
            command(
                commands,
                "timeline",
                "show steps, spans, events, warnings and errors of a run, one within the other",
            )
        )
    )
    _add_together(commands, command)
    tail = command(commands, "tail", "show the last lines of a run, and follow it", "",
                   "  amllog tail -f\n  amllog tail -n 100 93102")  # fmt: skip
    tail.add_argument("-n", "--lines", type=_count, default=10, metavar="N", help="how many (default: 10)")
    tail.add_argument("-f", "--follow", action="store_true",
                      help="go on with what is logged, until all steps have ended, or Ctrl-C")  # fmt: skip
    tail.add_argument(
        "--every", type=seconds, default=1.0, metavar="SECONDS", help="how often to look (default: 1)"
    )
    _levelled(_asked(_run(tail), tables=False))


def _add_together(commands: Any, command: Adder) -> None:
    story = command(commands, "story", "tell what happened in a run, in words",
                    "Steps, what failed and what is around it, what is missing, and where to look next.",
                    "  amllog story\n  amllog story 93102")  # fmt: skip
    _formats(_stored(_run(story)), "its steps as CSV")
    compare = command(commands, "compare", "set two runs side by side",
                      "Seconds per step, last values of metrics, messages that are new or gone, counts by level.",
                      "  amllog compare\n  amllog compare 4c0de 93102")  # fmt: skip
    compare.add_argument(
        "first", nargs="?", default="last~1", metavar="FIRST", help="a run (default: last~1)"
    )
    compare.add_argument(
        "second", nargs="?", default="last", metavar="SECOND", help="the other (default: last)"
    )
    _formats(_stored(compare), "a line of CSV for each figure and message")
    query = command(commands, "query", "ask in KQL", "\n\nThe service runs it as it is. On journals it needs\n"
                    "pip install 'amllog[insights]' and Python 3.11 or newer.",
                    "  amllog query 'traces | where severityLevel >= 3 | summarize count() by message'")  # fmt: skip
    query.add_argument("kql", nargs="*", metavar="KQL", help="the query")
    _formats(_stored(query))


def _run(command: ArgumentParser) -> ArgumentParser:
    command.add_argument("run", nargs="?", metavar="RUN", help=RUN)
    return command


def _asked(command: ArgumentParser, *, tables: bool = True) -> ArgumentParser:
    """What every question takes: what narrows it down, whom to ask, how to answer."""
    for name, value, text in _NARROW:
        more: Any = {"action": "append"} if name in _SEVERAL else {}
        command.add_argument(name, metavar=value, help=text, **more)
    command.add_argument("--where", action="append", metavar="KEY=VALUE",
                         help="with this dimension; several may be given, all must hold")  # fmt: skip
    _stored(command)
    if not tables:
        return _formats(command, "a line of CSV each", "a line of JSON each")
    command.add_argument(
        "--kql", dest="kql_only", action="store_true", help="print the question in KQL, and do not ask"
    )
    return _formats(command)


def _stored(command: ArgumentParser) -> ArgumentParser:
    command.add_argument("--dir", action="append", type=Path, default=[], metavar="DIR", help=_WHERE)
    for name, text in _IDS:
        command.add_argument(name, metavar="ID", help=text)
    command.add_argument("--dialect", choices=("classic", "workspace"),
                         help="tables named traces … or AppTraces … (default: as the service takes them)")  # fmt: skip
    return command


def _formats(
    command: ArgumentParser, csv: str = "the answer as CSV", json: str = "the answer as JSON"
) -> ArgumentParser:
    either = command.add_mutually_exclusive_group()
    either.add_argument("--json", action="store_true", help=json)
    either.add_argument("--csv", action="store_true", help=csv)
    return command


def _levelled(command: ArgumentParser) -> ArgumentParser:
    command.add_argument("--level", type=str.upper, choices=LEVELS, metavar="LEVEL",
                         help=f"from this level on ({', '.join(LEVELS)})")  # fmt: skip
    command.add_argument(
        "--contains", metavar="TEXT", help="with this text in message or stack, in capitals or not"
    )
    return command


def _limited(command: ArgumentParser) -> None:
    command.add_argument("--limit", type=_count, metavar="N", help="at most so many lines (default: all)")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines")
    return int(text)


def seconds(text: str) -> float:
    """An option that takes seconds; argparse tells the error."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of seconds, more than 0 and at most 86400")
    return found
