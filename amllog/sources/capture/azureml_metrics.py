"""What a script logs through its own `Run.get_context()`, journaled like what it logs through amllog.

In: azureml's MetricsClient, whose queue lives in memory and is posted by a thread that ends with the process. Out: a
queue in its place that hands every metric to `accept` at once; azureml's own way for whatever `accept` declines.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, Optional

from amllog.exporters.run_metrics import azureml_sdk, metric_lines
from amllog.process import interrupts

# kind, name, data, run id, step → whether it is journaled. Called in the script's thread; must not raise.
Accept = Callable[[str, str, "dict[str, Any]", str, Optional[int]], bool]
Flush = Callable[[float], object]

_PROPERTY = "_task_queue_v2"


def capture_script_metrics(accept: Accept, flush: Flush) -> AzureMLMetricsCapture | None:
    """Journal from now on what scripts log through azureml; None if this azureml has no such place.

    What waits in azureml's queues already is journaled too. A second adoption replaces the first.
    """
    found = azureml_sdk.metrics_classes()
    original = getattr(found and found.client, _PROPERTY, None)
    if found is None or not isinstance(original, property):
        return None
    if isinstance(original, _Adopted):
        original = original.original
    adoption = AzureMLMetricsCapture(found, original, accept)
    setattr(found.client, _PROPERTY, _Adopted(found, original, accept, flush))
    adoption.drain()
    return adoption


class AzureMLMetricsCapture:
    """A replaced queue: `undo` brings azureml's own back, `drain` journals what waits in azureml's own."""

    def __init__(self, found: azureml_sdk.MetricsClasses, original: property, accept: Accept) -> None:
        self._found, self._original, self._accept = found, original, accept

    def undo(self) -> None:
        """Let azureml post by itself again."""
        if isinstance(getattr(self._found.client, _PROPERTY), _Adopted):
            setattr(self._found.client, _PROPERTY, self._original)

    def drain(self) -> int:
        """Journal what waits in azureml's own queues; how many metrics that were."""
        return sum(_drain(self._accept, client) for client in azureml_sdk.metrics_clients())


class _Adopted(property):
    """`MetricsClient._task_queue_v2` while adopted: one queue of ours per client."""

    def __init__(
        self, found: azureml_sdk.MetricsClasses, original: property, accept: Accept, flush: Flush
    ) -> None:
        super().__init__(self._queue_of)
        self.original = original
        self._kind = _queue_class(found.queue, accept, flush)

    def _queue_of(self, client: Any) -> Any:
        own_way: Any = self.original.fget
        if getattr(client, "_amllog_private", False) or not client._use_batch:
            return own_way(client)
        ours = vars(client).get("_amllog_queue")
        if type(ours) is not self._kind:
            ours = client._amllog_queue = self._kind(client, own_way)
        return ours


def _queue_class(base: Any, accept: Accept, flush: Flush) -> Any:
    class JournalQueue(base):  # type: ignore[misc]  # azureml tests for its own class
        """A BatchTaskQueue without items and without a thread."""

        def __init__(
            self, client: Any, own_way: Callable[[Any], Any]
        ) -> None:  # not super's: it starts a thread
            self._client, self._own_way = client, own_way

        def add_item(self, item: Any) -> None:
            if not _journal(accept, item, self._client._run_id):
                self._own_way(self._client).add_item(item)

        def flush(self, source: Any, timeout_seconds: float | None = None) -> None:
            flush(300.0 if timeout_seconds is None else float(timeout_seconds))
            if self._client._task_queue_v2_internal is not None:
                self._client._task_queue_v2_internal.flush(source, timeout_seconds=timeout_seconds)

    return JournalQueue


def _journal(accept: Accept, dto: Any, run_id: str) -> bool:
    """Whether the metric is journaled now. Its first record decides for all of them."""
    rows = [value.data for value in dto.value]
    step = dto.value[0].step if dto.value else None
    records = metric_lines.record_data(dto.name, dto.columns, rows, dto.properties.ux_metric_type, step)
    accepted = [accept(kind, dto.name, data, run_id, step) for kind, data in records]
    return not accepted or accepted[0]


def _drain(accept: Accept, client: Any) -> int:
    """Takes the metrics out of azureml's own queue: each goes to us or to its thread, never to both."""
    items = getattr(vars(client).get("_task_queue_v2_internal"), "_items", None)
    taken = 0
    while items is not None and not items.empty():
        with interrupts.suppress(queue.Empty):  # its thread was faster
            item = items.get_nowait()
            if not _journal(accept, item, client._run_id):
                items.put(item)
                break
            taken += 1
    return taken
