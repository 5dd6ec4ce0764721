"""The memory of a run in this process."""

from __future__ import annotations

from amllog.sources.run.memory import Memory


def test_many_metrics_take_bounded_memory() -> None:
    """A long training with many metrics keeps the last values of each, 100,000 in total."""
    memory = Memory()
    for number in range(1_500):
        for layer in range(200):
            memory.keep_scalar(f"layer{layer}", number)
    metrics = memory.metrics()
    assert len(metrics) == 200 and all(values[-1] == 1_499 for values in metrics.values())
    assert sum(map(len, metrics.values())) <= 110_000
