"""`with` blocks that change context variables and undo the change whatever instruction a signal handler interrupts.

Python runs handlers also at the first instruction of a function, where no `try` of it is active: a `__exit__` in Python
may end before it has done anything. So `with` calls C code here, which continues a suspended generator. The instruction
at which a generator continues is inside its `try`.
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


Left = Callable[[Optional[type[BaseException]], Optional[BaseException], Optional[TracebackType]], None]
# The variables that a block sets, their values, and what is called with the arguments of `__exit__` afterwards. A plain
# tuple: a named one takes a quarter of the time of a block.
Change = tuple[tuple[ContextVar[Any], ...], tuple[object, ...], Left]


def _changed(
    variables: tuple[ContextVar[Any], ...], values: tuple[object, ...], left: Left
) -> Generator[Any, None, None]:
    """Make the change and undo it. `__enter__` and `__exit__` each continue this generator once.

    If an interrupted `with` has dropped the generator, Python closes it.
    """
    tokens: list[Token[Any]] = []
    # Each is consumed by one call of C code, in which no handler runs.
    do = map(ContextVar.set, variables, values)
    undo: Iterator[None] = map(ContextVar.reset, variables, tokens)
    try:
        try:
            yield
            tokens.extend(do)
            yield
        except GeneratorExit:  # perhaps long after the block, and within another one
            if any(one.get() is not value for one, value in zip(variables, values)):
                undo = iter(())
            raise
        finally:
            deque(undo, 0)
    except (ValueError, LookupError) as error:  # it ends in another context, where there is nothing to undo
        pass_on(error)
        undo = iter(())
    except BaseException as error:
        if tokens:
            left(type(error), error, None)
        raise
    finally:
        deque(undo, 0)  # Python 3.9 may run a handler before the first one
    yield left


class _Exit:
    """The `__exit__` of a block. `step` undoes the change and returns the function for the arguments of `__exit__`."""

    __slots__ = ("step",)
    __call__: Any = property(operator.methodcaller("step"))

    def __init__(self, step: Callable[[], object]) -> None:
        self.step = step


class _Part(property):
    """A method that `with` gets from the instance as C code, and `ExitStack` from the class as a function."""

    def __call__(self, block: object, *arguments: object) -> Any:
        return self.__get__(block)(*arguments)


class Block:
    """A context manager for any number of blocks, and a decorator. It calls `begin` before each block."""

    __slots__ = ("_begin", "_enter", "_exit")

    def __init__(self, begin: Callable[[], Change]) -> None:
        self._begin = begin
        self._enter: Callable[[], None] | None = None
        self._exit: _Exit | None = None

    def _prepare(self) -> None:
        generator = _changed(*self._begin())
        next(generator)
        self._exit = _Exit(functools.partial(next, generator))
        self._enter = functools.partial(next, generator)

    def _entering(self) -> Any:
        if self._enter is None:
            self._prepare()
        enter, self._enter = self._enter, None
        return enter

    def _leaving(self) -> Any:
        if self._exit is None:
            self._prepare()
        return self._exit

    if TYPE_CHECKING:

        def __enter__(self) -> None: ...
        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None: ...

    else:
        __enter__, __exit__ = _Part(_entering), _Part(_leaving)

    def __call__(self, function: F) -> F:
        """Decorate a function: each call of it is a block."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            with Block(self._begin):
                return function(*arguments, **named)

        return cast("F", call)
