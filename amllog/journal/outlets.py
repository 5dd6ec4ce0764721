"""The outlets that journals are delivered to, and which line is addressed to which.

The destination is in the line, so that every process can determine it. A line for Application Insights has an
instrumentation key. An empty one means that no connection string was known yet: the line waits for one. A line for
run history is marked as a run metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from amllog.record.envelope import instrumentation_key, is_run_metric

APP_INSIGHTS, RUN_METRICS = "app_insights", "run_metrics"
OUTLETS = (APP_INSIGHTS, RUN_METRICS)
# Whether a line is addressed to the outlet now.
ADDRESSED: Mapping[str, Callable[[bytes], bool]] = {
    APP_INSIGHTS: lambda line: bool(instrumentation_key(line)),
    RUN_METRICS: is_run_metric,
}


def is_meant_for(outlet: str, line: bytes) -> bool:
    """Return whether a line is meant for the outlet, with a key or before one is known. True for other outlets."""
    if outlet == APP_INSIGHTS:
        return instrumentation_key(line) is not None
    return outlet != RUN_METRICS or is_run_metric(line)
