"""What is bound follows the context: blocks, tasks, threads with a copy; nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import threading

from amllog.context import current
from amllog.context.current import bound, dimensions


def test_blocks() -> None:
    """Blocks nest, the inner wins, and the end takes back what the beginning bound, also after an error."""
    with bound(a=1, b=1):
        try:
            with bound(b=2):
                assert dict(dimensions()) == {"a": 1, "b": 2}
                raise ValueError
        except ValueError:
            pass
        assert dict(dimensions()) == {"a": 1, "b": 1}
    assert dict(dimensions()) == {}


def test_tasks() -> None:
    """asyncio tasks keep what was bound where they were made, and do not see each other's."""

    async def work(number: int) -> dict[str, object]:
        with bound(number=number):
            await asyncio.sleep(0.01)
            return dict(dimensions())

    async def main() -> list[dict[str, object]]:
        with bound(step=7):
            return list(await asyncio.gather(*(work(number) for number in range(3))))

    assert asyncio.run(main()) == [{"step": 7, "number": number} for number in range(3)]


def test_threads() -> None:
    """A thread with a copy of the context has it; a bare one begins with nothing."""
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


def test_generators() -> None:
    """A generator that began in one context and ends in another raises nothing."""

    def rows() -> object:
        with bound(a=1), current.in_span("s"):
            yield dict(dimensions())

    running = rows()
    assert contextvars.copy_context().run(next, running) == {"a": 1}  # type: ignore[arg-type]  # a generator
    assert contextvars.copy_context().run(list, running) == []  # type: ignore[arg-type]  # a generator
    assert (dict(dimensions()), current.span_id()) == ({}, "")


def test_as_decorator() -> None:
    """`@bound(...)` binds for each call of a function."""

    @bound(a=1)
    def work() -> dict[str, object]:
        return dict(dimensions())

    assert [work(), work()] == [{"a": 1}, {"a": 1}]
