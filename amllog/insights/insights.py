"""What `connect()` gives: the questions, and from a failed run to the line that explains it.

In: a store. Out: `Insights`: stories, comparisons, trees, runs followed live; runs may be named by `last`, `last~1` or
the beginning of an id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from amllog.insights.query.result import Row
from amllog.insights.reports import comparison, follow, run_names, story_builder, tree
from amllog.insights.reports.comparison import Comparison
from amllog.insights.reports.story import Story
from amllog.insights.reports.tree import Tree
from amllog.insights.run_questions import RunQuestions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from amllog.insights.query.filters import Filters


class Insights(RunQuestions):
    """Every question, and what puts several of them together."""

    def named(self, name: str = run_names.LAST, **narrow: Unpack[Filters]) -> str:
        """The whole id of the run or step that `name` means: `last`, `last~1`, or the beginning of an id; "" for
        `all`. UsageError lists the candidates, or what there is."""
        return run_names.resolve_run(self, name, **narrow)

    def story(self, run: str = run_names.LAST) -> Story:
        """What happened in a run, in words: steps, the failure and what is around it, what is missing, what next."""
        return story_builder.build_story(self, self.named(run))

    def compare(self, first: str, second: str) -> Comparison:
        """Two runs side by side: seconds per step, last values of metrics, messages that are new or gone, levels."""
        return comparison.compare(self, self.named(first), self.named(second))

    def tree(self, run: str = run_names.LAST, **narrow: Unpack[Filters]) -> Tree:
        """What lies within what: steps, their spans, and in them what was said and measured."""
        return tree.build_tree(self.records(self.named(run), **narrow))

    def watch(
        self, run: str = run_names.LAST, *, seconds: float = 2.0, quiet_seconds: float = 30.0, lines: int | None = None,
        **narrow: Unpack[Filters],
    ) -> Iterator[Row]:  # fmt: skip
        """Logs and exceptions as they arrive, as rows of `logs`: none twice, none lost.

        Looks every `seconds`; at first at most the last `lines`. Ends when all steps have ended and nothing came for
        `quiet_seconds`, or at Ctrl-C.
        """
        return follow.watch(
            self, self.named(run), seconds=seconds, quiet_seconds=quiet_seconds, lines=lines, **narrow
        )
