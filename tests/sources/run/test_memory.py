"""The memory of a run in this process."""

from __future__ import annotations

from amllog.sources.run.memory import Memory


def test_many_metrics_take_bounded_memory() -> None:
    """Of a long training with many metrics, the last values of each are remembered, and no more than 100,000."""
    memory = Memory()
    for number in range(1_500):
        for layer in range(200):
            memory.keep_scalar(f"layer{layer}", number)
    kept = memory.metrics()
    assert len(kept) == 200 and all(values[-1] == 1_499 for values in kept.values())
    assert sum(map(len, kept.values())) <= 110_000
