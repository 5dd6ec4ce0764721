"""The rules of the architecture: imports, powers, sizes and style of the modules.

The modules of each folder, their order and their third-party packages are in docs/architecture.md, and nowhere else. A
module that a split would make worse is in LARGER, with its number of lines and the reason.
"""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import io
import re
import shutil
import statistics
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest

PACKAGE = Path(importlib.util.find_spec("amllog").origin).parent
TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
# A folder imports only folders before it.
ORDER = [
    "__version__", "process", "record", "errors", "config", "journal", "delivery", "exporters", "context", "sources",
    "session", "insights", "local", "testing", "cli",
]  # fmt: skip
ENTRIES = {"__init__", "__main__", "__version__", "errors", "testing"}
# The folders that these two may import besides themselves. They work without the writing side.
INDEPENDENT = {
    "insights": {"__version__", "process", "record", "errors", "config", "journal"},
    "local": {"__version__", "process", "record", "errors", "config", "insights"},
}
ROWS = {  # each module of the page, in its order: the third-party packages that it may import
    f"amllog.{folder}.{module.replace('/', '.')}": set(re.findall(r"\w+", packages))
    for folder, table in re.findall(r"^### `(\w+)/`\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    for module, packages in re.findall(r"^\| `([\w/]+)` \|[^|]*\|([^|\n]*)\|$", table, re.MULTILINE)
}
PUBLIC = {"amllog", "amllog.insights", "amllog.insights.stores", "amllog.local"}  # packages that export names
MAX_MODULE, MEDIAN_MODULE, MAX_BODY, P95_BODY = 260, 140, 50, 30
LARGER: dict[str, tuple[int, str]] = {
    "amllog.local.execution.keeper": (300, "a program that runs without the package is one file")
}
GUARDS = {  # modules with an except for everything: the number of them, and the cause of the exceptions
    "record.text": (3, "a value's own methods"),
    "record.stacktrace": (2, "an exception's own methods"),
    "record.log_call": (1, "a message's own arguments"),
    "sources.emitter": (1, "our own faults, for entries that have no guard"),
    "sources.messages": (5, "our own faults, at each entry that the step's code calls"),
    "context.detector": (1, "azureml, which may not stop setup()"),
    "sources.run.reads": (1, "azureml, when something is read from it"),
    "process.background": (1, "azureml at setup(): carried to the thread that waits"),
    "delivery.consumer": (1, "an exporter: its records wait"),
    "process.safe_import": (2, "a stdout that raises, and a library's own import in setup()"),
    "delivery.orphans": (1, "a file of another process: it is reported, and the others are sent"),
    "delivery.worker": (2, "any fault of the delivery thread: it is reported, and the thread continues"),
    "process.interrupts": (2, "exceptions of signal handlers: they are raised again"),
    "process.forks": (2, "exceptions of signal handlers: they are raised again"),
    "sources.capture.exceptions": (1, "exceptions of signal handlers: they are raised again"),
    "sources.capture.notebook": (1, "exceptions of signal handlers: they are raised again"),
    "process.fork_safe_thread": (1, "a system that has no thread left: the start is tried again"),
    "cli.doctor.packages": (1, "a package's own import, in doctor: the check shows the exception"),
    "exporters.run_metrics.azureml_exporter": (2, "azureml: the verdict reports the error"),
    "exporters.run_metrics.mlflow_exporter": (1, "MLflow: the verdict reports the error"),
    "sources.capture.offline_runs": (
        1,
        "the script's values, which azureml's offline class accepts: one notice",
    ),
    "sources.capture.azure_log_handler": (2, "a telemetry processor, OpenCensus: the error is reported"),
    "exporters.driver_log": (1, "stdout"),
    "local.step_kinds.parallel_worker": (1, "an entry script: the driver reports the exception"),
    "local.step_startup.sitecustomize": (1, "azureml's request at the end of a step: it is reported"),
}
POWERS = {  # what only these modules or folders may do
    r"\bThread\(|\bTimer\(|Executor\(|start_new_thread": {
        "process.background", "process.interrupts", "process.fork_safe_thread", "process.debug_server", "local",
    },
    r"\bos\.(environ|getenv|putenv)\b": {
        "session.api", "session.session", "cli", "testing", "insights", "process.debug_server",
        # stand-alone programs, which pass it to their children
        "process.debug_launcher", "local.step_kinds.distribution_launcher",
        "local.pipeline",
    },
    r"\batexit\.|\bregister_at_fork\b|\bsys\.(unraisable)?excepthook = ": {
        "process.events", "process.forks", "process.debug_launcher", "insights", "local.step_startup",
    },
    r"\b_?signal\.signal\b": {"process.events", "process.interrupts", "local"},
    r"\bsubprocess\b": {"cli", "local.plan", "local.execution", "local.step_kinds"},
    r"\bsys\.meta_path\b": {"process.hooks", "process.import_hooks"},
    r"\bFunctionType\(|\.__code__\.replace\b": {"process.frames"},
    r"\._core\b": {"sources.capture.loguru_capture"},
    r"\bTHREAD\.(begin|forget)\(|\bsending\(": {
        "process.own_work", "process.background", "process.fork_safe_thread", "exporters.driver_log",
        "sources.capture.stdout",
    },
    # No level of another logger is changed, and no filter of another handler is called.
    r"\.setLevel\(": {"sources.logging_logger"},
    r"\.filter\(": {"sources.logger_states", "sources.logging_logger", "sources.capture.record_taker"},
    r"\bmemfd_create\b": {"process.ancestors"},
    r"\._config\b|\"_config\"": {"process.process_objects"},
}  # fmt: skip
# Modules in which an except or suppress may take an exception of a signal handler. The main thread does not run them,
# or only in commands of amllog.
OTHER_THREADS = {
    "cli", "delivery.consumer", "delivery.exporter", "delivery.orphan_delivery", "delivery.orphans", "delivery.worker",
    "exporters.app_insights", "exporters.http_deadline", "exporters.run_metrics", "exporters.verified_sockets",
    "insights", "local", "process.background", "process.debug_launcher", "process.sigterm", "record.response_body",
    "record.retry_after", "sources.capture.azureml_metrics",
}  # fmt: skip
# Functions with `with` on a lock that the main thread does not run, that `call_releasing` calls, or whose lock is the
# standard library's own Python code.
UNDECORATED = {
    "session.api._begin", "insights.stores.service.rate_limit.slot", "process.fork_safe_thread._leave",
    "process.fork_safe_thread._live",
}  # fmt: skip
# Exceptions that no signal handler raises on purpose. An except for them takes only those of its `try`.
NARROW = {
    "BlockingIOError", "FileExistsError", "FileNotFoundError", "GeneratorExit", "ImportError", "IndexError",
    "JSONDecodeError", "ModuleNotFoundError", "NoSegment", "NotADirectoryError", "OverflowError", "PermissionError",
    "ProcessLookupError", "UnicodeEncodeError",
}  # fmt: skip
# Modules without a test file of their name, and the place of their tests.
TESTED_ELSEWHERE = {
    "config.arguments": "config/test_settings",
    "config.settings_table": "config/test_settings",
    "cli.kql_input": "cli/test_habits",
    "local.step_kinds.function_program": "local/step_kinds/test_function_step",
    "local.step_objects.sdk_ports": "local/step_objects/test_sdk_steps",
    "local.step_objects.sdk_parallel": "local/step_objects/test_sdk_steps",
    "cli.run_summary": "cli/test_run_pipeline",
    "local.mlflow.artifact_proxy": "local/mlflow/test_tracking",
    "local.plan.interpreter_probe": "local/plan/test_interpreters",
    "local.mlflow.logged_models": "local/mlflow/test_model_registry",
    "local.mlflow.operations": "local/mlflow/test_tracking",
    "local.stored_data": "local/test_azure",
    "process.safe_import": "end_to_end/test_environments",
    "process.sigterm": "end_to_end/test_workers",
    "record.secrets.named_patterns": "record/secrets/test_named_secrets",
    "record.secrets.placeholders": "record/secrets/test_named_secrets",
    "record.secrets.prefilter": "record/secrets/test_named_secrets",
    "record.secrets.provider_patterns": "record/secrets/test_named_secrets",
    "record.secrets.provider_secrets": "record/secrets/test_named_secrets",
    "record.secrets.secret_names": "record/secrets/test_named_secrets",
    "insights.stores.local.python_summaries": "insights/stores/local/test_python_store",
    "exporters.run_metrics.run_info": "exporters/run_metrics/test_azureml_sdk",
    "exporters.run_metrics.azureml_addresses": "exporters/run_metrics/test_azureml_sdk",
    "exporters.run_metrics.azureml_calls": "exporters/run_metrics/test_azureml_exporter",
    "exporters.run_metrics.azureml_upload": "exporters/run_metrics/test_azureml_exporter",
    "exporters.run_metrics.mlflow_artifact_path": "exporters/run_metrics/test_mlflow_exporter",
    "exporters.run_metrics.mlflow_runs": "exporters/run_metrics/test_mlflow_exporter",
    "exporters.driver_streams": "exporters/test_driver_log",
    "exporters.terminal_bars": "end_to_end/test_terminal",
    "insights.stores.local.kql.aggregates": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.bins": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.calendar_functions": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.comparisons": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.conditionals": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.conversions": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.dynamic_functions": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.expansions": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.expression_parser": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.expressions": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.function_rows": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.joins": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.keywords": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.list_functions": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.literals": "insights/stores/local/kql/test_tokens",
    "insights.stores.local.kql.number_functions": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.operator_parser": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.parameters": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.reasons": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.relations": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.row_operators": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.scopes": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.sources": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.statement_parser": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.summaries": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.syntax": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.text_functions": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.text_parsing": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.time_functions": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.token_cursor": "insights/stores/local/kql/test_tokens",
    "insights.stores.local.kql.typed_sql": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.unions": "insights/stores/local/kql/test_compiler",
    "insights.stores.local.kql.value_formats": "insights/stores/local/kql/test_function_calls",
    "insights.stores.local.kql.value_macros": "insights/stores/local/kql/test_function_calls",
    "journal.damage": "end_to_end/test_shared_directories",
    "journal.new_segment": "end_to_end/test_shared_directories",
    "journal.recovery": "end_to_end/test_displaced_journals",
    "local.app_insights.envelope_schema": "local/app_insights/test_validation",
    "local.execution.killed_runs": "local/execution/test_past_runs",
    "local.execution.run_folder": "local/execution/test_past_runs",
    "local.execution.run_loop": "local/execution/test_runner",
    "local.execution.run_progress": "local/execution/test_runner",
    "local.execution.step_commands": "local/execution/test_runner",
    "local.execution.step_folders": "local/execution/test_runner",
    "local.execution.step_outputs": "local/execution/test_runner",
    "local.execution.step_reuse": "local/execution/test_runner",
    "local.execution.step_runs": "local/execution/test_runner",
    "local.execution.step_selection": "local/execution/test_runner",
    "local.execution.stop_switch": "local/execution/test_stop_signals",
    "local.execution.step_values": "local/execution/test_run_options",
    "local.definition.checked_map": "local/definition/test_file_reading_mistakes",
    "local.definition.component_files": "local/definition/test_file_reading",
    "local.definition.definition_context": "local/definition/test_file_reading_mistakes",
    "local.definition.environment_keys": "local/definition/test_file_reading",
    "local.definition.finding_list": "local/definition/test_file_reading_mistakes",
    "local.definition.format_keys": "local/definition/test_file_reading_mistakes",
    "local.definition.input_declarations": "local/definition/test_input_values",
    "local.definition.output_declarations": "local/definition/test_file_reading",
    "local.definition.pipeline_building": "local/definition/test_file_reading",
    "local.definition.pipeline_scope": "local/definition/test_file_reading_mistakes",
    "local.definition.step_building": "local/definition/test_file_reading",
    "local.definition.step_layers": "local/definition/test_step_tasks",
    "local.definition.step_links": "local/definition/test_file_reading",
    "local.definition.yaml_numbers": "local/definition/test_yaml_nodes",
    "local.step_kinds.parallel_process": "local/step_kinds/test_parallel_driver",
    "local.step_kinds.parallel_reports": "local/step_kinds/test_parallel_driver",
    "session.api": "session/test_session",
    "session.configuration": "end_to_end/test_joined_workers",
    "session.captures": "end_to_end/test_logging_configuration",
    "session.run_variables": "end_to_end/test_step_end",
    "session.step": "end_to_end/test_step_end",
    "sources.artifact_copying": "end_to_end/test_artifact_copies",
    "sources.capture.azure_handler_takeover": "end_to_end/test_app_insights",
    "sources.capture.azure_log_handler": "end_to_end/test_app_insights",
    "sources.capture.console_views": "sources/capture/test_consoles",
    "sources.capture.exceptions": "end_to_end/test_replaced_hooks",
    "sources.capture.crossings": "end_to_end/guests/test_loguru",
    "sources.capture.held_streams": "sources/capture/test_consoles",
    "sources.capture.loguru_capture": "end_to_end/guests/test_loguru",
    "sources.capture.loguru_consoles": "end_to_end/guests/test_loguru",
    "sources.capture.logging_lock": "end_to_end/test_signals",
    "sources.capture.notebook": "end_to_end/test_notebook",
    "sources.capture.other_journals": "end_to_end/test_returned_records",
    "sources.capture.record_taker": "sources/capture/test_record_dispatch",
    "sources.capture.root_handler": "end_to_end/test_logging_configuration",
    "sources.capture.stdlib_logging": "end_to_end/test_stdlib_logging",
    "sources.logger_states": "sources/test_logging_logger",
    "sources.capture.warnings_capture": "end_to_end/test_replaced_hooks",
    "sources.capture.structlog_taps": "sources/capture/test_structlog_events",
    "sources.measurement_records": "sources/test_measurements",
    "sources.recorder": "sources/test_logger",
    "sources.run.backend": "a protocol",
    "sources.run.reads": "sources/run/test_run",
    "sources.run_backend": "sources/run/test_run",
}
# Classes that inherit from a class of ours that inherits from another one.
DEEP = {"QueryTimeout": "a UsageError for callers, and the query service answers it with 504"}
# Modules that may assign attributes of objects that are not ours, and the owner of the objects.
FOREIGN = {
    "process.hooks": "Python's modules",
    "process.module_hooks": "sys and threading",
    "process.import_hooks": "modules and their specs, during the import",
    "process.safe_import": "sys",
    "process.debug_launcher": "sys, before the program runs",
    "exporters.http_deadline": "sessions of requests, pools of urllib3",
    "exporters.verified_sockets": "ssl's TLS sockets",
    "exporters.run_metrics.azureml_sdk": "azureml's clients",
    "exporters.run_metrics.azureml_addresses": "azureml's cache",
    "exporters.run_metrics.azureml_calls": "azureml's Run",
    "sources.capture.azureml_metrics": "azureml's client",
    "cli.run_script": "sys, an exception of the script",
}
Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_declared(node: ast.AST) -> bool:
    """Return whether a function needs no docstring: a protocol's member, an overload or a property's setter."""
    setter = any(ast.unparse(one).endswith(".setter") for one in node.decorator_list)
    return setter or ast.unparse(node.body) == "..."


class Module:
    """One file of the package. It is parsed when a test needs it, because each process of xdist imports this file."""

    def __init__(self, path: Path) -> None:
        self.name = ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts))
        self.text = path.read_text(encoding="utf-8")
        self.lines = len(self.text.splitlines())
        self.path = self.name.partition(".")[2].removesuffix(".__init__")
        self.folder = self.path.partition(".")[0]
        self.is_package = path.name == "__init__.py"

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """All functions, also those inside others."""
        return [node for node in self.nodes if isinstance(node, Function)]

    def imports(self) -> set[str]:
        """Return the imported modules: ours by their full name, others by the name of their package."""
        found = {alias.name for node in self.nodes if isinstance(node, ast.Import) for alias in node.names}
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return {self.ours(name) or name.partition(".")[0] for name in found}

    @staticmethod
    def ours(name: str) -> str | None:
        """Return the module of amllog that an imported name is in, or None."""
        tries = (name, f"{name}.__init__", name.rpartition(".")[0], name.rpartition(".")[0] + ".__init__")
        return next((one for one in tries if one in NAMES), None)

    def code(self) -> str:
        """Return the source without comments and docstrings."""
        kept = ast.parse(self.text)
        for node in ast.walk(kept):
            if isinstance(node, (ast.Module, ast.ClassDef, *Function)) and ast.get_docstring(node):
                node.body[0] = ast.Pass()
        return ast.unparse(kept)

    def undocumented(self) -> list[str]:
        """Return the public classes, functions and methods without a docstring."""
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
        parts = [node for owner in (self.tree, *classes) for node in owner.body]
        named = [
            node for node in parts if isinstance(node, (ast.ClassDef, *Function)) and node.name[0] != "_"
        ]
        return [node.name for node in named if not ast.get_docstring(node) and not is_declared(node)]


ALL = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]
NAMES = {module.name: module for module in ALL}


def lines_of(function: ast.FunctionDef) -> int:
    """Return the number of lines of a function after its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def takes_everything(node: ast.AST) -> bool:
    """Return whether a node is an except for every error that does not raise it again."""
    if not isinstance(node, ast.ExceptHandler) or isinstance(node.body[-1], ast.Raise):
        return False
    return node.type is None or bool(re.search(r"\b(Base)?Exception\b", ast.unparse(node.type)))


def is_in(path: str, places: object) -> bool:
    """Return whether a module is one of these modules, or in one of these folders."""
    return any(f"{path}.".startswith(f"{place}.") for place in places)


def steps() -> Iterator[tuple[Module, Module]]:
    """Yield each import of a module of amllog in another one."""
    return ((m, NAMES[name]) for m in ALL for name in sorted(m.imports() & NAMES.keys()) if name != m.name)


def test_lists_name_modules_that_exist() -> None:
    """Each entry of the lists above is a module or a folder, so that no exception outlives its module."""
    lists = (GUARDS, OTHER_THREADS, FOREIGN, TESTED_ELSEWHERE, *POWERS.values())
    places = {place for entries in lists for place in entries}
    assert sorted(place for place in places if not any(is_in(m.path, [place]) for m in ALL)) == []


def test_settings_are_resolved_in_one_place() -> None:
    """Only `read_settings` decides whether an invalid variable raises."""
    callers = {m.path for m in ALL if re.search(r"\bresolve_settings\(", m.code())}
    assert callers == {"config.settings", "session.compose"}


def test_root() -> None:
    """The root contains the entry points, errors, testing and the folders, and nothing else."""
    names = {path.stem if path.suffix == ".py" else path.name for path in PACKAGE.iterdir()}
    assert names - {"__pycache__", "py.typed"} == ENTRIES | {name for name in ORDER if name not in ENTRIES}


def test_every_module_has_a_row() -> None:
    """Each module in a folder has a row in docs/architecture.md, and each row has a module."""
    modules = {m.name for m in ALL if "." in m.path and not m.is_package}
    assert (modules - ROWS.keys(), ROWS.keys() - modules) == (set(), set())


def test_folders_import_only_folders_before_them() -> None:
    """A module imports its own folder and folders before it. No module imports the entry points."""
    up = [
        f"{m.name} imports {n.name}"
        for m, n in steps()
        if m.folder in ORDER and (n.folder not in ORDER or ORDER.index(n.folder) > ORDER.index(m.folder))
    ]
    assert up == []


def test_insights_and_local_import_nothing_of_the_writing_side() -> None:
    """The reading side and the local Azure work without the writing side."""
    across = [
        f"{m.name} imports {n.name}"
        for m, n in steps()
        if m.folder in INDEPENDENT and n.folder not in {m.folder, *INDEPENDENT[m.folder]}
    ]
    assert across == []


def test_modules_import_only_modules_above_them() -> None:
    """Inside a folder, a module imports only modules above it in the table of its folder."""
    order = list(ROWS)
    inside = [(m, n) for m, n in steps() if m.folder == n.folder and {m.name, n.name} <= ROWS.keys()]
    up = [f"{m.name} imports {n.name}" for m, n in inside if order.index(n.name) > order.index(m.name)]
    assert up == []


def is_import_on_first_use(node: ast.stmt) -> bool:
    """Return whether a statement is one of those that import public names on first use (PEP 562)."""
    if isinstance(node, ast.If):
        only_imports = all(isinstance(child, ast.ImportFrom) for child in node.body)
        return ast.unparse(node.test) == "TYPE_CHECKING" and only_imports and not node.orelse
    return isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")


def test_packages_have_no_code() -> None:
    """An `__init__` is empty or has a docstring, except those of the public packages, which import and list names."""
    full = [m for m in ALL if m.is_package and len(m.tree.body) > bool(ast.get_docstring(m.tree))]
    assert {m.name.removesuffix(".__init__") for m in full} == PUBLIC
    kinds = {type(node) for m in full for node in m.tree.body if not is_import_on_first_use(node)}
    assert kinds == {ast.Expr, ast.ImportFrom, ast.Assign}
    names = {m.path: {node.name for node in m.tree.body if isinstance(node, Function)} for m in ALL}
    doubled = [
        f"{m.path}.{alias.name}"
        for m in full
        for node in m.tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{m.path}.{alias.name}" in names
    ]
    assert doubled == []


def test_names_are_unique() -> None:
    """Outside `cli`, no two modules have the same name. No two modules define a public class of the same name."""
    modules = Counter(m.name.rpartition(".")[2] for m in ALL if not m.is_package and m.folder != "cli")
    assert [name for name, count in modules.items() if count > 1] == []
    owners = [(node.name, m.name) for m in ALL for node in m.tree.body if isinstance(node, ast.ClassDef)]
    classes = Counter(name for name, _ in owners if name[0] != "_")
    assert sorted(f"{name} in {owner}" for name, owner in owners if classes[name] > 1) == []


def test_inheritance_is_at_most_two_levels_deep() -> None:
    """A class of ours inherits from a class of ours at most once, except those in DEEP."""
    bases = {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for m in ALL
        for node in m.nodes
        if isinstance(node, ast.ClassDef)
    }
    deep = [
        name
        for name, above in bases.items()
        if any(bases.get(base, set()) & bases.keys() for base in above & bases.keys())
    ]
    assert set(deep) == DEEP.keys()


def thread_locals(module: Module) -> set[str]:
    """Return the names of `threading.local` objects, and of the attributes that subclasses create for each thread."""
    classes = [node for node in module.nodes if isinstance(node, ast.ClassDef)]
    ours = [node for node in classes if "threading.local" in map(ast.unparse, node.bases)]
    kinds = "|".join([r"threading\.local", *(node.name for node in ours)])
    inner = {target.attr for node in ours for target in assigned_attributes(node)}
    return set(re.findall(rf"(\w+) = (?:{kinds})\(", module.text)) | inner


def owners_made_in(function: ast.AST, threads: set[str]) -> set[str]:
    """Return the names that a function binds to objects that it creates by a call, or to the state of its thread."""
    made = {"self", "cls"}
    for node in ast.walk(function):
        value = getattr(node, "value", None)
        of_thread = isinstance(value, ast.Attribute) and value.attr in threads
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and (
            of_thread or isinstance(value, ast.Call)
        ):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                made |= {name.id for name in names if isinstance(name, ast.Name)}
    return made


def assigned_attributes(function: ast.AST) -> Iterator[ast.Attribute]:
    """Yield the attributes that a function assigns."""
    for node in ast.walk(function):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            for target in targets:
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                yield from (part for part in parts if isinstance(part, ast.Attribute))


def test_no_attribute_of_another_object_is_assigned() -> None:
    """Code assigns attributes of `self` and of objects that it creates. Other objects change by their own methods."""
    wrong = []
    for module in ALL:
        threads = thread_locals(module)
        for function in module.functions:
            made = owners_made_in(function, threads)
            for target in assigned_attributes(function):
                owner = ast.unparse(target.value)
                if owner not in made and owner.rpartition(".")[2] not in threads:
                    wrong.append(f"{module.path}.{function.name}: {ast.unparse(target)}")
    assert [place for place in wrong if not is_in(place.partition(":")[0], FOREIGN)] == []


def test_names_of_variables_are_in_config() -> None:
    """Every string that is the name of a variable of amllog is in `config`."""
    named = [
        f"{m.path}:{node.lineno} {node.value}"
        for m in ALL
        if m.folder != "config"
        for node in m.nodes
        if isinstance(node, ast.Constant) and re.fullmatch(r"_?AMLLOG_[A-Z_]+", str(node.value))
    ]
    assert named == []


def test_no_name_is_assigned_twice() -> None:
    """No module assigns a name of its top level twice."""
    twice = []
    for module in ALL:
        targets = [node for node in module.tree.body if isinstance(node, (ast.Assign, ast.AnnAssign))]
        names = [
            name for node in targets for name in getattr(node, "targets", [getattr(node, "target", None)])
        ]
        counts = Counter(name.id for name in names if isinstance(name, ast.Name))
        twice += [f"{module.name}.{name}" for name, count in counts.items() if count > 1]
    assert twice == []


def test_no_cycles() -> None:
    """No module imports itself by a detour."""
    graph = {m.name: m.imports() & NAMES.keys() for m in ALL}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(ALL)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the standard library's list of names came with 3.10")
def test_third_party_packages_stay_in_their_modules() -> None:
    """A third-party package is imported only in the modules whose row has it."""
    known = {"__future__", "typing_extensions", *sys.stdlib_module_names, *NAMES}
    strange = [(m, name) for m in ALL for name in m.imports() - known]
    assert [f"{m.name} imports {name}" for m, name in strange if name not in ROWS.get(m.name, ())] == []


def test_powers_stay_in_their_modules() -> None:
    """Threads, the environment and hooks of the process are used in few modules."""
    codes = {m.path: m.code() for m in ALL}
    used = [(name, power) for name, code in codes.items() for power in POWERS if re.search(power, code)]
    assert [(name, power) for name, power in used if not is_in(name, POWERS[power])] == []


def test_sizes() -> None:
    """Modules and functions stay small enough to be read at once, and most are much smaller."""
    assert {m.name: m.lines for m in ALL if m.lines > LARGER.get(m.name, (MAX_MODULE,))[0]} == {}
    assert statistics.median(m.lines for m in ALL) <= MEDIAN_MODULE
    bodies = {f"{m.name}.{f.name}:{f.lineno}": lines_of(f) for m in ALL for f in m.functions}
    assert {name: lines for name, lines in bodies.items() if lines > MAX_BODY} == {}
    assert sorted(bodies.values())[len(bodies) * 95 // 100] <= P95_BODY


def test_modules_and_public_names_have_docstrings() -> None:
    """Every module with code and every public name has a docstring, every function its return type."""
    assert [m.name for m in ALL if m.tree.body and not ast.get_docstring(m.tree)] == []
    assert [f"{m.name}.{name}" for m in ALL for name in m.undocumented()] == []
    assert [f"{m.name}.{f.name}" for m in ALL for f in m.functions if not f.returns] == []


def test_no_global_statement() -> None:
    """No function has a `global` statement. The one global session is an attribute of an object in `session`."""
    assert [m.name for m in ALL for node in m.nodes if isinstance(node, ast.Global)] == []


def test_broad_excepts_are_guards_and_never_silent() -> None:
    """An except for everything is in a module listed in GUARDS, and reports or counts the exception."""
    inside = {node: f"{m.name}.{f.name}" for m in ALL for f in m.functions for node in ast.walk(f)}
    broad = {node: name for node, name in inside.items() if takes_everything(node)}
    counts = Counter(m.path for m in ALL for node in m.nodes if takes_everything(node))
    assert counts == {path: count for path, (count, _) in GUARDS.items()}
    silent = {
        name for node, name in broad.items() if not any(isinstance(n, ast.Call) for n in ast.walk(node))
    }
    assert silent == set()
    assert [m.name for m in ALL if re.search(r"suppress\((Base)?Exception", m.text)] == []


def test_no_except_takes_a_signal() -> None:
    """In the script's threads, the exception of a signal handler passes every except and every suppress."""
    modules = [m for m in ALL if not is_in(m.path, OTHER_THREADS)]
    excepts = [(m, node) for m in modules for node in m.nodes if isinstance(node, ast.ExceptHandler)]
    taking = [
        f"{m.name}:{node.lineno}"
        for m, node in excepts
        if node.type is None or set(re.findall(r"\w+", ast.unparse(node.type))) - NARROW
        if not re.search(
            r"is_from_signal|pass_on|origin\(|raise_later|handle_fault\(|self\._keep\(",
            ast.unparse(node.body),
        )
        if ast.unparse(node.body[-1]) != "raise"
    ]
    assert taking == []
    assert [m.name for m in ALL if re.search("contextlib import .*suppress", m.text)] == []
    allowed = {m.name for m in ALL if m not in modules} - {
        "amllog.delivery.worker",
        "amllog.sources.capture.azureml_metrics",
    }
    assert [m.name for m in ALL if "contextlib.suppress(" in m.text and m.name not in allowed] == []


def test_no_simple_queue_waits_with_a_limit() -> None:
    """`SimpleQueue.get` with a timeout may wait forever on CPython 3.9 and 3.10: `WakeUp` and `Mailbox` do not."""
    assert [m.name for m in ALL if "SimpleQueue" in m.code()] == []


def test_locks_are_released_on_every_python() -> None:
    """Each function of the script's threads with `with` on a lock of ours is decorated, or called by call_releasing."""
    form = re.compile(r"(?:self\.)?(\w+) = threading\.(?:R?Lock|Condition|(?:Bounded)?Semaphore)\(")
    locks = {m: set(form.findall(m.text)) for m in ALL}
    bare = set()
    for module, function in ((m, f) for m in ALL for f in m.functions):
        items = [one for node in ast.walk(function) if isinstance(node, ast.With) for one in node.items]
        held = {ast.unparse(one.context_expr).removeprefix("self.") for one in items} & locks[module]
        decorated = {ast.unparse(one) for one in function.decorator_list}
        if any(f"releasing({name!r})" not in decorated for name in held):
            bare.add(f"{module.name.removeprefix('amllog.')}.{function.name}")
    assert {name for name in bare if not name.startswith("local.")} == UNDECORATED
    # `with` has no time limit. tqdm's lock may be held by a thread that a forked child does not have.
    # The lock of a `WakeUp` protects nothing: it is released to end a wait.
    acquiring = [m.name for m in ALL if ".acquire(" in m.code()]
    assert acquiring == ["amllog.exporters.terminal_bars", "amllog.process.wake_up"]


def test_ignore_comments_have_a_code_and_a_reason() -> None:
    """`# noqa: CODE  why` and `# type: ignore[code]  why`, at most two in a thousand lines."""
    tokens = [(m.name, t) for m in ALL for t in tokenize.generate_tokens(io.StringIO(m.text).readline)]
    comments = [(name, token.string) for name, token in tokens if token.type == tokenize.COMMENT]
    ignores = [pair for pair in comments if re.search("noqa|type: ignore|pragma", pair[1])]
    form = re.compile(r"# (noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\]|pragma: no cover)\W+\w.*")
    assert [pair for pair in ignores if not form.fullmatch(pair[1])] == []
    assert len(ignores) <= 2 * sum(m.lines for m in ALL) / 1000


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield each docstring of the package, with its place."""
    for module in ALL:
        for node in module.nodes:
            if isinstance(node, (ast.Module, ast.ClassDef, *Function)) and ast.get_docstring(node):
                place = f"{module.name}.{getattr(node, 'name', '')}:{getattr(node, 'lineno', 1)}"
                yield place, ast.get_docstring(node) or ""


def sentences(text: str) -> list[str]:
    """Return the sentences, list items and paragraphs of a docstring, without its code blocks."""
    prose = re.sub(r"(?m)^(    .*| *>>> .*)$", "", text)
    return [
        part for part in re.split(r"(?<=[.:!?])\s+(?=[A-Z`(*\d])|\n\s*\n|\n *[*-] ", prose) if part.strip()
    ]


NOUNS = {"Count", "Hook", "Name", "Record", "Row"}  # their plural begins a noun phrase


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    """The first line of a docstring is an imperative or a noun phrase, not a clause."""
    clause = re.compile(r"(What|Whether|How|Where|When|Which|Who|Whose|That|In:|Out:)\b")
    assert [f"{place}: {text[:60]}" for place, text in docstrings() if clause.match(text)] == []
    # "Writes" where another docstring begins with "Write". A plural noun with an object is rare.
    words = [(place, text.split()[0].rstrip(".,:")) for place, text in docstrings()]
    verbs = {word for _, word in words} - NOUNS
    assert [pair for pair in words if pair[1].endswith("s") and {pair[1][:-1], pair[1][:-2]} & verbs] == []


def test_docstrings_have_short_sentences() -> None:
    """A sentence has at most 30 words, and at most 2 semicolons are in 1,000 words."""
    texts = list(docstrings())
    long = [f"{place}: {s[:60]}" for place, text in texts for s in sentences(text) if len(s.split()) > 30]
    assert long == []
    words = sum(len(text.split()) for _, text in texts)
    joined = [place for place, text in texts for _ in re.findall(";", re.sub(r"`[^`]*`", "", text))]
    assert (joined if len(joined) > 2 * words / 1000 else []) == []


def test_names_say_what_a_value_is() -> None:
    """Names such as `found` and `one`, which do not describe their value, are rare: at most 10 in 1,000 lines."""
    vague = {"found", "one", "said", "told", "own", "left"}
    uses = Counter(
        m.path
        for m in ALL
        for node in m.nodes
        if (isinstance(node, ast.Name) and node.id in vague)
        or (isinstance(node, ast.arg) and node.arg in vague)
    )
    total = sum(uses.values())
    assert (uses.most_common() if total > 10 * sum(m.lines for m in ALL) / 1000 else []) == []


def test_each_module_has_a_test_file() -> None:
    """The tests of a module are in the file of its name in the same folder of tests, or in the file in the list."""
    files = {path.relative_to(TESTS).with_suffix("").as_posix() for path in TESTS.rglob("test_*.py")}
    missing = []
    for module in ALL:
        folder, _, name = module.path.replace(".", "/").rpartition("/")
        expected = f"{folder}/test_{name}".lstrip("/")
        has_file = any(f"{file}_".startswith(f"{expected}_") for file in files)
        if not module.is_package and "/" in expected and not has_file:
            missing.append(module.path)
    assert (
        sorted(set(missing) - TESTED_ELSEWHERE.keys()),
        sorted(TESTED_ELSEWHERE.keys() - set(missing)),
    ) == ([], [])
    assert sorted({*TESTED_ELSEWHERE.values()} - files - {"a protocol"}) == []


def test_test_files_have_a_module() -> None:
    """A test file in a folder of the package is named after a module of it. Others are in end_to_end."""
    modules = {f"{m.path.replace('.', '/')}" for m in ALL}
    strange = []
    for path in TESTS.rglob("test_*.py"):
        place = path.relative_to(TESTS)
        subject = (place.parent / place.stem[len("test_") :]).as_posix()
        if len(place.parts) > 1 and place.parts[0] != "end_to_end":
            strange += [] if any(f"{subject}_".startswith(f"{name}_") for name in modules) else [str(place)]
    assert sorted(strange) == []


def test_changelog_is_short() -> None:
    """A release has at most 40 entries of one sentence and at most 30 words."""
    page = (TESTS.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    for release in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        entries = re.findall(r"^- (.+(?:\n  .+)*)", release, re.MULTILINE)
        assert len(entries) <= 40
        assert [entry for entry in entries if len(entry.split()) > 30 or re.search(r";|[.?!]\s", entry)] == []


def test_commit_subjects_are_short() -> None:
    """The subjects of commits since the rule have at most 72 characters."""
    git = shutil.which("git")
    since = ["-c", "safe.directory=*", "log", "--format=%s", "d846a39..HEAD"]
    log = subprocess.run([git or "false", *since], cwd=TESTS.parent, capture_output=True, text=True)
    if log.returncode:
        pytest.skip("the history is not here")
    subjects = set(log.stdout.splitlines())
    assert [subject for subject in subjects if len(subject) > 72] == []
