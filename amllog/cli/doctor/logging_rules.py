"""Find what a script without amllog loses: metrics, dimensions, exceptions and runs outside a job.

docs/tutorial.md shows these losses with the real clients.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from amllog.cli.doctor.checks import Check
from amllog.cli.doctor.script import Script, dotted_name, string

_ADVICE = "two lines record it: import amllog; amllog.setup()"
_LOG_CALLS = ("debug", "info", "warning", "error", "exception", "critical")
_RUN_LOGS = ("log", "log_list", "log_row", "log_table")
Rule = Callable[[Script], Iterator[Check]]


def _metrics_are_flushed(script: Script) -> Iterator[Check]:
    """Azureml keeps metrics in memory, and a thread that ends with the process posts them."""
    calls = _run_calls(script, *_RUN_LOGS)
    if calls and not _run_calls(script, "flush", "complete", "fail"):
        problem = "metrics wait in azureml's memory, and an exception or a kill loses them"
        yield script.warn(calls[0], problem, f"run.flush(), or {_ADVICE}")


def _dimensions_are_sent(script: Script) -> Iterator[Check]:
    """A handler of OpenCensus sends only `extra={"custom_dimensions": …}`."""
    for call in script.calls_of(*_LOG_CALLS):
        if len(call.args) == 2 and isinstance(call.args[1], ast.Dict) and "%" not in string(call.args[0]):
            yield script.warn(call, "a dict as argument of a log call is not sent as dimensions", _ADVICE)
            return


def _exceptions_are_sent(script: Script) -> Iterator[Check]:
    """An uncaught exception reaches no handler."""
    handlers = script.calls_of("AzureLogHandler")
    if handlers:
        problem = "uncaught exceptions do not reach an AzureLogHandler, and its lines do not name their run"
        yield script.warn(handlers[0], problem, _ADVICE)


def _variable_is_optional(script: Script) -> Iterator[Check]:
    """A subscript of os.environ raises KeyError outside the job."""
    for node in ast.walk(script.tree):
        name = string(node.slice) if isinstance(node, ast.Subscript) else ""
        if name.startswith(("APPLICATIONINSIGHTS_", "APPINSIGHTS_")):
            problem = f"a subscript {name!r} raises KeyError outside the job"
            yield script.warn(node, problem, "amllog.setup() reads it, and records to disk without it")
            return


def _works_offline(script: Script) -> Iterator[Check]:
    """The offline run of azureml has fewer methods and arguments."""
    for call in _run_calls(script, *_RUN_LOGS):
        if any(keyword.arg == "step" for keyword in call.keywords):
            yield script.warn(call, "step= raises TypeError in the offline run of azureml", _ADVICE)
            break
    for node in ast.walk(script.tree):
        owner = dotted_name(node.value) if isinstance(node, ast.Attribute) else ""
        if owner.endswith(".parent") and _is_run(owner[: -len(".parent")]):
            problem = "run.parent is None without a pipeline, and missing in the offline run"
            yield script.warn(node, problem, "amllog.setup() adds the ids of the run to every record")
            return


def _no_literal_key(script: Script) -> Iterator[Check]:
    """A connection string in the source is in its history for ever."""
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Constant) and string(node).lower().startswith("instrumentationkey="):
            advice = "set APPLICATIONINSIGHTS_CONNECTION_STRING in the environment of the step"
            yield script.warn(node, "a connection string in the source", advice)
            return


def _run_calls(script: Script, *names: str) -> list[ast.Call]:
    """Return the calls of these methods on the run of azureml."""
    if "azureml" not in script.imported():
        return []
    return [
        call
        for call in script.calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in names
        and _is_run(dotted_name(call.func.value))
    ]


def _is_run(name: str) -> bool:
    return name.rpartition(".")[2].lower().endswith("run")


def _without_amllog(rule: Rule) -> Rule:
    return lambda script: iter(()) if "amllog" in script.imported() else rule(script)


LOSSES: tuple[Rule, ...] = (
    *map(
        _without_amllog,
        (
            _metrics_are_flushed,
            _dimensions_are_sent,
            _exceptions_are_sent,
            _variable_is_optional,
            _works_offline,
        ),
    ),
    _no_literal_key,
)
