"""Bound dimensions follow the context: in blocks, in tasks, and in threads that have a copy of it."""

from __future__ import annotations

import asyncio
import contextvars
import threading

from amllog.context import current
from amllog.context.current import bound, dimensions


def test_blocks_nest_and_reset() -> None:
    """Blocks nest, the inner block wins, and the end of a block resets its dimensions, also after an error."""
    with bound(a=1, b=1):
        try:
            with bound(b=2):
                assert dict(dimensions()) == {"a": 1, "b": 2}
                raise ValueError
        except ValueError:
            pass
        assert dict(dimensions()) == {"a": 1, "b": 1}
    assert dict(dimensions()) == {}


def test_tasks_keep_their_context() -> None:
    """asyncio tasks keep the dimensions that were bound at their creation, and do not see those of other tasks."""

    async def work(number: int) -> dict[str, object]:
        with bound(number=number):
            await asyncio.sleep(0.01)
            return dict(dimensions())

    async def main() -> list[dict[str, object]]:
        with bound(step=7):
            return list(await asyncio.gather(*(work(number) for number in range(3))))

    assert asyncio.run(main()) == [{"step": 7, "number": number} for number in range(3)]


def test_threads_need_a_copy_of_the_context() -> None:
    """A thread in a copy of the context has its dimensions, and any other thread starts without."""
    seen: list[dict[str, object]] = []
    with bound(a=1):
        copy = contextvars.copy_context()
        for work in (
            lambda: copy.run(lambda: seen.append(dict(dimensions()))),
            lambda: seen.append(dict(dimensions())),
        ):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    assert seen == [{"a": 1}, {}]


def test_generator_may_end_in_another_context() -> None:
    """A generator that began in one context can end in another one."""

    def rows() -> object:
        with bound(a=1), current.in_span("s"):
            yield dict(dimensions())

    running = rows()
    assert contextvars.copy_context().run(next, running) == {"a": 1}  # type: ignore[arg-type]  # a generator
    assert contextvars.copy_context().run(list, running) == []  # type: ignore[arg-type]  # a generator
    assert (dict(dimensions()), current.span_id()) == ({}, "")


def test_bound_decorates_a_function() -> None:
    """`@bound(...)` binds the dimensions for each call of a function."""

    @bound(a=1)
    def work() -> dict[str, object]:
        return dict(dimensions())

    assert [work(), work()] == [{"a": 1}, {"a": 1}]
