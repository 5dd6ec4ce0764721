"""The number of concurrent requests, and of requests in a time window."""

from __future__ import annotations

import threading

from amllog.insights.stores.service.rate_limit import RateLimit


def test_requests_in_a_window_are_limited() -> None:
    """At most 200 requests start in 30 s, and none waits longer than necessary."""
    now = [0.0]
    starts: list[float] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    rate_limit = RateLimit(clock=lambda: now[0], sleep=sleep)
    for _ in range(650):
        with rate_limit.slot():
            starts.append(now[0])
        now[0] += 0.01
    assert min(late - early for early, late in zip(starts, starts[200:])) >= 30.0 - 1e-9
    assert starts[-1] < 91


def test_concurrent_requests_are_limited() -> None:
    """A sixth request waits until one of five has its response."""
    rate_limit, lock, most, inside = RateLimit(max_concurrent=5), threading.Lock(), [0], [0]
    five = threading.Barrier(5)  # no request ends before five have started

    def request() -> None:
        with rate_limit.slot():
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            five.wait(600)
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=request) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 5
