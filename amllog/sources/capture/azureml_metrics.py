"""Record the metrics that a script logs through azureml's own `Run.get_context()`.

azureml's MetricsClient keeps metrics in memory, and a thread that ends with the process posts them. A queue of amllog
in its place passes every metric to `accept` at once. Metrics that `accept` rejects go to azureml's queue.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, Optional

from amllog.exporters.run_metrics import azureml_sdk, metric_lines
from amllog.process import interrupts

# (kind, name, data, run id, step) → whether the metric is in the journal. It is called in the script's thread and must
# not raise.
Accept = Callable[[str, str, "dict[str, Any]", str, Optional[int]], bool]
Flush = Callable[[float], object]

_PROPERTY = "_task_queue_v2"


def capture_script_metrics(accept: Accept, flush: Flush) -> AzureMLMetricsCapture | None:
    """Record from now on the metrics that scripts log through azureml. Return None if this azureml has no such queue.

    Metrics that wait in azureml's queues are recorded too. A second capture replaces the first.
    """
    classes = azureml_sdk.metrics_classes()
    original = getattr(classes and classes.client, _PROPERTY, None)
    if classes is None or not isinstance(original, property):
        return None
    if isinstance(original, _CapturedQueue):
        original = original.original
    capture = AzureMLMetricsCapture(classes, original, accept)
    setattr(classes.client, _PROPERTY, _CapturedQueue(classes, original, accept, flush))
    capture.drain()
    return capture


class AzureMLMetricsCapture:
    """The replacement of azureml's queue."""

    def __init__(self, classes: azureml_sdk.MetricsClasses, original: property, accept: Accept) -> None:
        self._classes, self._original, self._accept = classes, original, accept

    def undo(self) -> None:
        """Let azureml post its metrics again."""
        if isinstance(getattr(self._classes.client, _PROPERTY), _CapturedQueue):
            setattr(self._classes.client, _PROPERTY, self._original)

    def drain(self) -> int:
        """Record the metrics in azureml's queues. Return their number."""
        return sum(_drain(self._accept, client) for client in azureml_sdk.metrics_clients())


class _CapturedQueue(property):
    """`MetricsClient._task_queue_v2` during a capture: one queue of amllog per client."""

    def __init__(
        self, classes: azureml_sdk.MetricsClasses, original: property, accept: Accept, flush: Flush
    ) -> None:
        super().__init__(self._queue_of)
        self.original = original
        self._kind = _queue_class(classes.queue, accept, flush)

    def _queue_of(self, client: Any) -> Any:
        original_queue: Any = self.original.fget
        if getattr(client, "_amllog_private", False) or not client._use_batch:
            return original_queue(client)
        ours = vars(client).get("_amllog_queue")
        if type(ours) is not self._kind:
            ours = client._amllog_queue = self._kind(client, original_queue)
        return ours


def _queue_class(base: Any, accept: Accept, flush: Flush) -> Any:
    class JournalQueue(base):  # type: ignore[misc]  # azureml checks for its class
        """A BatchTaskQueue without items and without a thread."""

        # Without super().__init__(), which starts a thread.
        def __init__(self, client: Any, original_queue: Callable[[Any], Any]) -> None:
            self._client, self._original_queue = client, original_queue

        def add_item(self, item: Any) -> None:
            if not _journal(accept, item, self._client._run_id):
                self._original_queue(self._client).add_item(item)

        def flush(self, source: Any, timeout_seconds: float | None = None) -> None:
            flush(300.0 if timeout_seconds is None else float(timeout_seconds))
            if self._client._task_queue_v2_internal is not None:
                self._client._task_queue_v2_internal.flush(source, timeout_seconds=timeout_seconds)

    return JournalQueue


def _journal(accept: Accept, dto: Any, run_id: str) -> bool:
    """Record a metric and return whether it was accepted. Its first record decides for all of them."""
    rows = [value.data for value in dto.value]
    step = dto.value[0].step if dto.value else None
    records = metric_lines.record_data(dto.name, dto.columns, rows, dto.properties.ux_metric_type, step)
    accepted = [accept(kind, dto.name, data, run_id, step) for kind, data in records]
    return not accepted or accepted[0]


def _drain(accept: Accept, client: Any) -> int:
    """Move metrics out of azureml's queue. Each is taken by amllog or by azureml's thread, never by both."""
    items = getattr(vars(client).get("_task_queue_v2_internal"), "_items", None)
    taken = 0
    while items is not None and not items.empty():
        with interrupts.suppress(queue.Empty):  # azureml's thread was faster
            item = items.get_nowait()
            if not _journal(accept, item, client._run_id):
                items.put(item)
                break
            taken += 1
    return taken
