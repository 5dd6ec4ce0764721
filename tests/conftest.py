"""Fixtures and hooks of all tests: a clean environment, an empty folder, and no network except this machine."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

import amllog
from amllog.record import envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from amllog.local import AzureOnThisMachine

NETWORK_GUARD = Path(__file__).with_name("network_guard")
sys.path.insert(0, str(NETWORK_GUARD))
sys.modules.pop("sitecustomize", None)
import sitecustomize  # noqa: E402, F401  limits this process and its forks to this machine

# A shell starts background jobs with SIGINT ignored, and nohup ignores SIGHUP. Children inherit that.
for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, default)

PACKAGE = Path(amllog.__file__).parent
# The path of the checkout, if amllog is not installed.
CHECKOUT = [] if PACKAGE.parent.name == "site-packages" else [str(PACKAGE.parent)]

# On a busy machine, an example or its generation may take long. That is not a failure of the test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("starved", settings.get_profile("patient"), max_examples=20)

GATE_ENDS = float(os.environ.get("GATE_ENDS", "inf"))  # seconds since 1970; only .ci/run sets it


def share_of_a_core(seconds: float = 1.0) -> float:
    """Return the part of one processor core that this machine gives to a busy process, from 0 to 1.

    It is the time that the work takes at its fastest, divided by the time that it took.
    """
    began = last = time.perf_counter()
    fastest, pieces = float("inf"), 0
    while last - began < seconds:
        sum(range(20_000))
        now = time.perf_counter()
        fastest, pieces, last = min(fastest, now - last), pieces + 1, now
    return pieces * fastest / (last - began)


# The time limits of the product are 5 seconds for run history at setup() and 10 for an export. If more than five busy
# processes share a core, a service and a script on this machine do not reach each other within these limits.
LEAST_SHARE = 0.2
# A test with one of these fixtures or names starts a process or a service.
STARTING = {"azure", "child", "server_with", "notebook", "service", "stores", "tracking"}
STARTING_NAMES = {"AzureOnThisMachine", "subprocess"}
# Measured only if the time is limited: a run by hand skips nothing. The best of three, as one second may be unlucky.
SHARE = (
    float(os.environ.get("TESTS_SHARE_OF_A_CORE") or max(share_of_a_core() for _ in range(3)))
    if "GATE_ENDS" in os.environ
    else 1.0
)
# The workers of xdist use this measurement.
os.environ["TESTS_SHARE_OF_A_CORE"] = str(SHARE)
settings.load_profile("patient" if SHARE >= LEAST_SHARE else "starved")
NOT_RUN = pytest.StashKey[list[str]]()  # the tests that did not begin before GATE_ENDS
# A test that takes longer has stopped. Its worker of xdist prints all stacks and ends, and xdist reports the test.
LONGEST_SECONDS = 900
STDERR = pytest.StashKey[int]()  # that of the worker, outside of pytest's capture


# The variables that a process needs from the machine. Tests do not see the others.
KEPT_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "TERM",
)
KEPT_BEGINNINGS = ("COVERAGE_", "PYTEST_")


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of an unconfigured laptop: no Azure, no CI, no proxy, an empty home."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or name.startswith(KEPT_BEGINNINGS)
    }
    return {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(NETWORK_GUARD), *CHECKOUT]),
        "PYTHONFAULTHANDLER": "1",
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",  # OpenCensus' own telemetry, also in stock clients
        "REACHED_FILE": str(home / "reached"),
    }


# Tests that start many processes or real clients, on the oldest and the newest Python only
# (docs/decisions/0011-gates.md).
SLOW = (
    "end_to_end/test_nested_runs", "cli", "config/test_user_path", "delivery/test_worker_segments",
    "end_to_end/reading", "end_to_end/test_any_object", "end_to_end/test_app_insights",
    "end_to_end/test_artifact_copies", "end_to_end/test_causes", "end_to_end/test_consoles",
    "end_to_end/test_damaged_journals", "end_to_end/test_disk", "end_to_end/test_displaced_journals",
    "end_to_end/guests", "end_to_end/test_joined_workers", "end_to_end/test_known_problems",
    "end_to_end/test_local_runs", "end_to_end/test_logging_configuration", "end_to_end/test_notebook",
    "end_to_end/pipelines", "end_to_end/test_operation_tree", "end_to_end/test_pipeline_example",
    "end_to_end/test_public_secret_rules", "end_to_end/test_real_clients",
    "end_to_end/test_response_sizes", "end_to_end/test_run_history_faults",
    "end_to_end/test_secrets", "end_to_end/test_shared_directories", "end_to_end/test_sigterm_of_others",
    "end_to_end/test_soak", "end_to_end/test_step_end", "end_to_end/test_worker_libraries", "exporters",
    "insights", "journal/test_directory", "local", "record/secrets", "record/test_redaction",
    "sources/capture/test_azureml_metrics", "test_architecture", "test_docs", "test_examples",
    "test_reliability",
    "sources/capture/test_mlflow_metrics",
    "process/test_debug_launcher", "process/test_debug_server", "session/test_debugging",
)  # fmt: skip
# The longest tests that depend least on the Python version, on the newest only.
ONCE = (
    "cli", "config/test_user_path", "end_to_end/pipelines", "end_to_end/reading/test_equal_stores",
    "end_to_end/reading/test_hostile_files", "end_to_end/reading/test_notebook_answers",
    "end_to_end/reading/test_without_pandas", "end_to_end/test_artifact_copies", "end_to_end/test_damaged_journals",
    "end_to_end/test_disk", "end_to_end/test_displaced_journals", "end_to_end/test_known_problems",
    "end_to_end/test_nested_runs", "end_to_end/test_operation_tree", "end_to_end/test_pipeline_example",
    "end_to_end/test_public_secret_rules", "end_to_end/test_response_sizes", "end_to_end/test_run_history_faults",
    "end_to_end/test_secrets", "end_to_end/test_shared_directories", "end_to_end/test_soak",
    "end_to_end/test_terminal", "exporters/run_metrics/test_azureml_exporter",
    "exporters/run_metrics/test_mlflow_exporter", "insights/alerts", "insights/query", "insights/reports",
    "insights/stores/local/kql/test_compiler_language", "insights/stores/local/test_atomic_files",
    "insights/stores/local/test_compaction", "insights/stores/local/test_compaction_files",
    "insights/stores/local/test_duckdb_limits", "insights/stores/local/test_duckdb_macros",
    "insights/stores/local/test_open_files", "insights/stores/local/test_other_formats",
    "insights/stores/local/test_ownership", "insights/stores/service", "journal/test_directory", "local",
    "record/test_redaction", "sources/capture/test_mlflow_metrics", "test_architecture", "test_docs", "test_examples",
    "test_reliability",
)  # fmt: skip


@functools.cache
def _is_in(path: Path, places: tuple[str, ...]) -> bool:
    """Return whether a file or folder is one of the places, or in one of them."""
    place = path.relative_to(Path(__file__).parent).with_suffix("")
    return not {place.as_posix(), *(parent.as_posix() for parent in place.parents)}.isdisjoint(places)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import the files that a Python leaves out. Each worker of xdist would compile them."""
    places = {"not once": ONCE, "not slow": (*ONCE, *SLOW)}.get(config.option.markexpr, ())
    return True if _is_in(collection_path, places) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests by their path, and run them last, so that fast failures come first.

    Of the slow ones, those of the documents and the examples come first. Each of them takes many seconds. As the last
    one, it would keep one process of xdist busy after the others have ended.
    """
    here = Path(__file__).parent
    for item in items:
        if _is_in(item.path, (*ONCE, *SLOW)):
            item.add_marker(pytest.mark.slow)
        if _is_in(item.path, ONCE):
            item.add_marker(pytest.mark.once)

    def position(item: pytest.Item) -> list[bool]:
        marks = [item.get_closest_marker(name) is not None for name in ("once", "slow")]
        return [*marks, item.path.parent != here]

    items.sort(key=position)


def pytest_configure(config: pytest.Config) -> None:
    """Keep the stderr of a worker of xdist, which pytest replaces during the tests."""
    if hasattr(config, "workerinput"):
        config.stash[STDERR] = os.dup(2)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Limit the time of a test in a worker of xdist, and skip it after GATE_ENDS.

    A skipped test has no report. Thousands of reports take minutes on a starved machine.
    """
    if time.time() <= GATE_ENDS:
        stderr = item.config.stash.get(STDERR, None)
        if stderr is not None:
            faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True, file=stderr)
        return None
    item.config.stash.setdefault(NOT_RUN, []).append(item.nodeid)
    return True


def _is_starting(item: pytest.Item) -> bool:
    """Return whether a test starts a process or a service."""
    function = getattr(item, "function", None)
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)  # @given keeps it there
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    return not (STARTING.isdisjoint(getattr(item, "fixturenames", ())) and STARTING_NAMES.isdisjoint(names))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that a starved machine cannot run (docs/decisions/0011-gates.md), with the reason in the summary."""
    if SHARE < LEAST_SHARE and _is_starting(item):
        pytest.skip(f"not run: it starts processes, and this machine gives {SHARE:.2f} of a core")


def pytest_runtest_logfinish() -> None:
    """End the time limit of a test."""
    faulthandler.cancel_dump_traceback_later()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass the tests that were not run from a worker of xdist to its controller."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["not_run"] = session.config.stash.get(NOT_RUN, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect the tests that a worker of xdist did not run."""
    node.config.stash.setdefault(NOT_RUN, []).extend(getattr(node, "workeroutput", {}).get("not_run", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the tests that were not run, by file."""
    not_run = config.stash.get(NOT_RUN, [])
    if not not_run:
        return
    terminalreporter.section(
        f"{len(not_run)} tests not run: GATE_ENDS, the end of this run's time, came first"
    )
    for file, count in sorted(Counter(nodeid.partition("::")[0] for nodeid in not_run).items()):
        terminalreporter.write_line(f"{file}: {count}")


@pytest.fixture(autouse=True)
def _clean_machine(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start each test in a clean environment and an empty folder, and shut amllog down afterwards."""
    before = dict(os.environ)
    home = tmp_path_factory.mktemp("home")
    clean = clean_environment(home)
    os.environ.clear()
    os.environ.update(clean)
    with _working_in(tmp_path):
        try:
            yield
        finally:
            shutdown = getattr(amllog, "shutdown", None)
            if shutdown is not None:
                shutdown(timeout=0)
            os.environ.clear()
            os.environ.update(before)
    reached = home / "reached"
    if reached.exists():
        pytest.fail(f"reached for addresses off this machine: {sorted(set(reached.read_text().split()))}")
    if sys.exc_info()[1] is not None:  # the next tests of this worker would log it
        pytest.fail(f"left an exception in sys.exc_info(): {sys.exc_info()[1]!r}")


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition is true, or fail the test."""
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def line_of_another_process(azure: AzureOnThisMachine, message: str) -> bytes:
    """Return the journal line of a message for the local Azure."""
    key = azure.connection_string.partition("InstrumentationKey=")[2].partition(";")[0]
    data = {"message": message, "severityLevel": 1, "properties": {"record_id": message}}
    return envelope.encode_envelope(
        envelope.build_envelope(time.time(), key, {}, "MessageData", {"ver": 2, **data})
    )


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class Ran(NamedTuple):
    """The exit code and the output of a child process."""

    returncode: int
    stdout: str
    stderr: str


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a child and all processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _print_stacks(process: subprocess.Popen[str]) -> None:
    """Print the stacks of all threads of a child that does not end, and of its processes, on stderr.

    SIGABRT ends a process after faulthandler (PYTHONFAULTHANDLER, which children inherit) has written its stacks.
    """
    for pid in _group(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGABRT)
            time.sleep(0.5)  # one after the other, because their lines would mix


def _group(leader: int) -> list[int]:
    """Return the processes of a group, the oldest first."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            pid, _, rest = stat.read_text().partition(" (")
            _state, _parent, group = rest.rpartition(")")[2].split()[:3]
            members += [int(pid)] if int(group) == leader else []
    return sorted(members) or [leader]


class Child:
    """Runs Python in separate processes, in the test's folder and clean environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def __call__(
        self,
        code: str | Path | Sequence[str],
        *args: str,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        timeout: float = 600,
        flags: Sequence[str] = (),
    ) -> Ran:
        """Run a script (Path), code (str) or a command line (a sequence) until it ends.

        `env` extends the environment of the test. None removes a variable.
        """
        process = self.start(code, *args, env=env, cwd=cwd, flags=flags)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _print_stacks(process)
            _kill(process)
            stdout, stderr = process.communicate(timeout=600)
            pytest.fail(f"still running after {timeout} s\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
        return Ran(process.returncode, stdout, stderr)

    def start(
        self,
        code: str | Path | Sequence[str],
        *args: str,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        flags: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        """Start a process without waiting, for tests that communicate with it or kill it."""
        if isinstance(code, Path):
            command = [sys.executable, *flags, str(code), *args]
        elif isinstance(code, str):
            command = [sys.executable, *flags, "-c", code, *args]
        else:
            command = [*code, *args]
        process = subprocess.Popen(
            command,
            cwd=cwd or self.folder,
            env={name: value for name, value in {**os.environ, **(env or {})}.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,  # children of a child end with it, and keep no pipe open
        )
        self.running.append(process)
        return process

    def end(self) -> None:
        """Kill all children at the end of the test."""
        for process in self.running:
            _kill(process)
            process.communicate(timeout=600)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    """Runs Python code, scripts and commands in child processes: `child("print(1)").stdout`."""
    child = Child(tmp_path)
    try:
        yield child
    finally:
        child.end()


@pytest.fixture
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureOnThisMachine]:
    """Start the local Azure. Its received records are in `.envelopes`, and `.job_environment(...)` is for jobs."""
    from amllog.local import AzureOnThisMachine

    with AzureOnThisMachine(tmp_path_factory.mktemp("azure")) as azure:
        yield azure


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for `-n auto`: more than processors, since many tests wait for processes.

    Each worker collects all tests, which is most of the work on a starved machine.
    """
    return 4 if SHARE >= LEAST_SHARE else 2


def pytest_report_header() -> list[str]:
    """Return the path of the tested amllog, the installed wheel or a checkout, and report a starved machine."""
    starved = (
        f"machine: {SHARE:.2f} of a core, less than {LEAST_SHARE}: tests that start processes are skipped"
    )
    return [f"amllog: {PACKAGE}", *([starved] if SHARE < LEAST_SHARE else [])]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long and binary values by their argument, so that ids are readable and equal in every worker."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) > 40) else None
