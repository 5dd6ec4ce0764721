"""Record the metrics that a script logs with MLflow, for each run, wherever MLflow stores them.

All ways to log a metric (the fluent functions, `MlflowClient`, autolog, asynchronous logging) pass through two methods
of `TrackingServiceClient`. They are hooked, because MLflow has no event for a metric. The records are for the journal
and Application Insights only, since MLflow stores the metric itself. The calls of amllog's own exporter come from its
thread, and are not recorded.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from amllog.process.hooks import Hook, Hooks
from amllog.process.import_hooks import AfterImport
from amllog.sources.recorder import Recorder

MODULE = "mlflow.tracking._tracking_service.client"
LOGGER = "mlflow"
_THREADS = "amllog "
# Names of runs that are remembered.
_MAX_RUNS = 10_000
Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


class MLflowMetrics:
    """The hooks over MLflow's client."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._hooks, self._watch = Hooks(), Hooks()
        self._class: Any = None
        # The names of runs by id.
        self._names: dict[str, str] = {}

    def install(self) -> None:
        """Record from now on, also if MLflow is imported later. It may be called again."""
        if self._class is None:
            self._watch.remove()
            self._watch.put(AfterImport(MODULE, lambda: self._recorder.emitter.guarded(self._hook)))
            if MODULE in sys.modules:
                self._hook()

    def remove(self) -> None:
        """Restore MLflow's class."""
        self._watch.remove()
        self._hooks.remove()
        self._names.clear()
        self._class = None

    def _hook(self) -> None:
        """Hook the class, unless it is hooked already. A module that is imported again has another one."""
        kind = getattr(
            importlib.import_module(MODULE), "TrackingServiceClient", None
        )  # waits for an import in progress
        if kind is None or kind is self._class:
            return
        self._class = kind
        wrappers: dict[str, Wrapper] = {
            "log_metric": self._log_metric_over, "log_batch": self._log_batch_over, "create_run": self._create_run_over,
        }  # fmt: skip
        for name, over in wrappers.items():
            if callable(getattr(kind, name, None)):
                self._hooks.put(Hook(kind, name, over(getattr(kind, name))))

    def _log_metric_over(self, original: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(original)

        @functools.wraps(original)
        def log_metric(*args: Any, **options: Any) -> Any:
            def record() -> None:
                values = parameters.bind_partial(*args, **options).arguments
                self._record(
                    values.get("run_id"), [(values.get("key"), values.get("value"), values.get("step"))]
                )

            self._guarded(record)
            return original(*args, **options)

        return log_metric

    def _log_batch_over(self, original: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(original)

        @functools.wraps(original)
        def log_batch(*args: Any, **options: Any) -> Any:
            def record() -> None:
                values = parameters.bind_partial(*args, **options).arguments
                metrics = values.get("metrics") or ()
                if isinstance(metrics, (list, tuple)):  # an iterator belongs to MLflow
                    self._record(
                        values.get("run_id"), [(metric.key, metric.value, metric.step) for metric in metrics]
                    )

            self._guarded(record)
            return original(*args, **options)

        return log_batch

    def _create_run_over(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def create_run(*args: Any, **options: Any) -> Any:
            run = original(*args, **options)
            self._guarded(lambda: self._remember(run.info))
            return run

        return create_run

    def _guarded(self, work: Callable[[], object]) -> None:
        """Call `work`, which raises nothing into the script, unless this is a thread of amllog."""
        if not threading.current_thread().name.startswith(_THREADS):
            self._recorder.emitter.guarded(work)

    def _remember(self, info: Any) -> None:
        if len(self._names) < _MAX_RUNS:
            self._names[info.run_id] = getattr(info, "run_name", "") or ""

    def _record(self, run_id: Any, metrics: Iterable[tuple[Any, Any, Any]]) -> None:
        name = self._names.get(run_id) if isinstance(run_id, str) else ""
        if name is None:
            name = _name_of_active_run(run_id)
        run = {"run_id": run_id, **({"run_name": name} if name else {})}
        for key, value, step in metrics:
            self._recorder.measurements.stored_metric(LOGGER, key, value, step, run)


def _name_of_active_run(run_id: str) -> str:
    """Return the name of a run that the script resumed, without a request, or ""."""
    fluent = sys.modules.get("mlflow.tracking.fluent")
    stack = getattr(fluent, "_active_run_stack", ())
    active = stack.get() if hasattr(stack, "get") else stack  # by thread, in newer versions
    return next((run.info.run_name or "" for run in active if run.info.run_id == run_id), "")
