"""The questions together with stories, comparisons, trees and runs followed live.

`connect()` returns an `Insights`. Its methods accept short names of runs: `last`, `last~1`, or the beginning of an id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from amllog.insights.query.result import Row
from amllog.insights.query.run_ids import RunId
from amllog.insights.questions import Questions
from amllog.insights.reports import comparison, follow, story_builder, tree
from amllog.insights.reports.comparison import Comparison
from amllog.insights.reports.story import Story
from amllog.insights.reports.tree import Tree
from amllog.insights.run_tree import LAST, find_run

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from amllog.insights.query.filters import Filters


class Insights(Questions):
    """All questions, and the reports that combine them."""

    def named(self, name: str = LAST, **filters: Unpack[Filters]) -> RunId:
        """Return the full id of the run or step that `name` means, with the runs below it. "" for `all`.

        `name` is an id or the beginning of one, `last`, which is the run that began last, `last~1`, or the address of
        the run in the studio. Runs take precedence over steps. If no record has a run id, `last` selects all records.
        `filters` select the runs that count, such as `last="7d"`. UsageError lists the candidates.
        """
        return find_run(self.store, name, **filters)

    def story(self, run: str = LAST) -> Story:
        """Return a report of one run: its steps, the failure and its surroundings, missing records, next commands."""
        return story_builder.build_story(self, self.named(run))

    def compare(self, first: str, second: str) -> Comparison:
        """Return two runs side by side.

        The comparison has seconds per step, last values of metrics, records per level, and messages of one run only.
        """
        return comparison.compare(self, self.named(first), self.named(second))

    def tree(self, run: str = LAST, **filters: Unpack[Filters]) -> Tree:
        """Return the steps of a run, with their spans and the records in them."""
        return tree.build_tree(self.records(self.named(run), **filters))

    def watch(
        self,
        run: str = LAST,
        *,
        seconds: float = 2.0,
        quiet_seconds: float = 30.0,
        lines: int | None = None,
        **filters: Unpack[Filters],
    ) -> Iterator[Row]:
        """Yield logs and exceptions as they arrive, as rows of `logs`, each exactly once.

        Polls every `seconds`, and begins with at most the last `lines`. Ends when all steps have ended and nothing has
        arrived for `quiet_seconds`, or at Ctrl-C.
        """
        return follow.watch(
            self, self.named(run), seconds=seconds, quiet_seconds=quiet_seconds, lines=lines, **filters
        )
