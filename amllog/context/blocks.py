"""`with` blocks that set context variables, and reset them wherever a signal handler interrupts.

Python may run a signal handler at the first instruction of a function, before any `try` of the function is active. So
an `__exit__` that is written in Python may end before it has done anything. Here, `with` calls C code instead, which
resumes a suspended generator. The instruction at which the generator resumes is inside its `try`.
"""

from __future__ import annotations

import functools
import operator
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, TypeVar, cast

from amllog.process.interrupts import pass_on

F = TypeVar("F", bound=Callable[..., Any])

OnExit = Callable[[Optional[type[BaseException]], Optional[BaseException], Optional[TracebackType]], None]
# The variables that a block sets, their values, and a function that is called afterwards with the arguments of
# `__exit__`. A plain tuple, because a named tuple would take a quarter of the time of a block.
Change = tuple[tuple[ContextVar[Any], ...], tuple[object, ...], OnExit]


def _set_and_reset(
    variables: tuple[ContextVar[Any], ...], values: tuple[object, ...], on_exit: OnExit
) -> Generator[Any, None, None]:
    """Set the variables and reset them. `__enter__` and `__exit__` each resume this generator once.

    Python closes the generator if an interrupted `with` has dropped it.
    """
    tokens: list[Token[Any]] = []
    # One call of C code consumes each iterator. No signal handler runs during that call.
    setting = map(ContextVar.set, variables, values)
    resetting: Iterator[None] = map(ContextVar.reset, variables, tokens)
    try:
        try:
            yield
            tokens.extend(setting)
            yield
        except GeneratorExit:
            # Python may close the generator long after the block, inside another block.
            if any(variable.get() is not value for variable, value in zip(variables, values)):
                resetting = iter(())
            raise
        finally:
            deque(resetting, 0)
    except (ValueError, LookupError) as error:
        # The block ends in another context, where there is nothing to reset.
        pass_on(error)
        resetting = iter(())
    except BaseException as error:
        if tokens:
            on_exit(type(error), error, None)
        raise
    finally:
        # Python 3.9 may run a signal handler before the first `finally`.
        deque(resetting, 0)
    yield on_exit


class _Exit:
    """The `__exit__` of a block. `step` resets the variables and returns the function for the block's error."""

    __slots__ = ("step",)
    __call__: Any = property(operator.methodcaller("step"))

    def __init__(self, step: Callable[[], object]) -> None:
        self.step = step


class _ContextMethod(property):
    """A method that `with` gets from the instance as C code, and `ExitStack` from the class as a function."""

    def __call__(self, block: object, *arguments: object) -> Any:
        return self.__get__(block)(*arguments)


class Block:
    """A context manager for any number of blocks, and a decorator.

    `begin` returns the change of a block. It is called before each block.
    """

    __slots__ = ("_begin", "_enter", "_exit")

    def __init__(self, begin: Callable[[], Change]) -> None:
        self._begin = begin
        self._enter: Callable[[], None] | None = None
        self._exit: _Exit | None = None

    def _prepare(self) -> None:
        generator = _set_and_reset(*self._begin())
        next(generator)
        self._exit = _Exit(functools.partial(next, generator))
        self._enter = functools.partial(next, generator)

    def _entering(self) -> Any:
        if self._enter is None:
            self._prepare()
        enter, self._enter = self._enter, None
        return enter

    def _leaving(self) -> Any:
        # From Python 3.14 on, `with` gets `__exit__` before `__enter__`. So each of both is used once.
        if self._exit is None:
            self._prepare()
        exit_, self._exit = self._exit, None
        return exit_

    if TYPE_CHECKING:

        def __enter__(self) -> None: ...
        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None: ...

    else:
        __enter__, __exit__ = _ContextMethod(_entering), _ContextMethod(_leaving)

    def __call__(self, function: F) -> F:
        """Decorate a function, so that each call of it is a block."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            with Block(self._begin):
                return function(*arguments, **named)

        return cast("F", call)
