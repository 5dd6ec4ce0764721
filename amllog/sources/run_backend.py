"""What `log.run` asks of the intake: numbers, other metrics, calls and files → records for run history.

In: checked values from `log.run`, and metrics that the script logged through azureml's own Run. Out: records that
carry their run's address, and copies of files beside the journal.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Union

from amllog.context.identity import Identity
from amllog.journal import artifact_copies
from amllog.journal.refused_counts import RefusedCounts
from amllog.process import interrupts
from amllog.record import text
from amllog.record.log_call import CallSite
from amllog.sources.artifact_copying import Copying
from amllog.sources.measurements import Measurements
from amllog.sources.run.backend import Source

Number = Union[int, float]
NOWHERE = CallSite("", "", 0)


class RunGate(Measurements):
    """The intake, as `log.run` speaks to it."""

    def __init__(
        self,
        flush: Callable[[float], object],
        faults: RefusedCounts | None = None,
        in_child: Callable[[], None] | None = None,
        notice: Callable[[str, int], object] = lambda text, level: None,
    ) -> None:
        """`notice`: prints a text once, in the driver log."""
        super().__init__(faults, in_child)
        self._flush, self._notice = flush, notice

    def reset(self) -> None:
        """Back to the state before setup()."""
        super().reset()
        self.online = False  # whether this process's metrics are meant for run history
        self.directory = Path()
        self.copying: Copying | None = None  # only after setup()
        self.real_run: Any = None

    @property
    def identity(self) -> Identity:
        """Which run this is; only after setup()."""
        if self._forms is None:
            raise RuntimeError("amllog.setup() was not called yet: there is no run")
        return self._forms.stamp.identity

    def metric(self, name: str, value: Number, step: int | None, run_id: str | None) -> None:
        """A finite number from `log.run`."""
        self.guarded(lambda: self._written("run", name, value, step, run_id, {}, NOWHERE))

    def run_record(self, kind: str, name: str, data: Mapping[str, Any], *, run_id: str | None) -> None:
        """Anything else from `log.run`: lists, rows, tables, texts, tags, files, child runs."""
        data = self._hidden(kind, data)
        says = f"{self.redactor.mask_key(name)[0]}: {_brief(kind, data)}"
        marks = {**self._marks(kind, run_id), "run_metric_data": json.dumps(data, ensure_ascii=False)}
        self.guarded(lambda: self.happen("run", name, {}, marks, NOWHERE, level=logging.DEBUG, says=says))

    def adopt(
        self, kind: str, name: str, data: Mapping[str, Any], run_id: str | None, step: int | None
    ) -> bool:
        """A metric that the script logged through azureml's own Run; False if it was not journaled."""
        faults = self.faults.total()
        value = _only_number(kind, data)
        if value is None:
            self.run_record(kind, name, data if step is None else {**data, "step": step}, run_id=run_id)
        else:
            self.metric(name, value, step, run_id)
        return self.faults.total() == faults

    def spool(self, source: Source, name: str) -> str | None:
        """Keep a copy of a file for the courier. Return its name, or None if it was refused and counted.

        The name is relative to the journal directory. Raises the errors of the source.
        """
        try:
            if self.copying is None:
                raise artifact_copies.NotKept("copy of a file: there is no journal before setup()")
            return self.copying.copy(source, self.redactor.mask(name))
        except artifact_copies.NotKept as error:
            interrupts.pass_on(error)
            self.faults.add(str(error))
            self._notice(f"files are refused: {error}", logging.WARNING)
            return None

    def copied(self, name: str) -> AbstractContextManager[artifact_copies.Copy]:
        """The open copy of this name. Raises FileNotFoundError, also once it has been delivered."""
        return artifact_copies.opened(self.copying.directories() if self.copying else (), name)

    def azure_run(self) -> Any | None:
        """The real online run, if there is one."""
        return self.real_run

    def flush(self, timeout: float) -> object:
        """Deliver what waits, for at most `timeout` seconds."""
        return self._flush(timeout)

    def _hidden(self, kind: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """A record's data without secrets: a call's arguments by their keys, a metric's texts by their columns."""
        if kind == "call":
            kept = {"file": data["file"]} if "file" in data else {}  # our own name of a copy of ours
            return {**self.redactor.mask_values(dict(data)), **kept}
        return self.redactor.mask_metric_table(data)

    def _written(
        self,
        logger: str,
        name: str,
        value: Number,
        step: int | None,
        run_id: str | None,
        dimensions: Mapping[str, object],
        place: CallSite,
    ) -> None:
        marks = self._marks("scalar", run_id)
        if step is not None:
            marks["step"] = str(step)
        fits = isinstance(value, float) or -(2**63) <= value < 2**63  # else no JSON integer of 64 bits
        self.measure(logger, name, value if fits else float(value), dimensions, marks, place)

    def _marks(self, kind: str, run_id: str | None) -> dict[str, str]:
        """What addresses a record to run history; nothing where it is not meant for it."""
        if not self.online:
            return {}
        return {"run_metric": kind} if run_id is None else {"run_metric": kind, "run_id": run_id}


def _only_number(kind: str, data: Mapping[str, Any]) -> Number | None:
    """The finite number that a scalar's data is, if it is one."""
    if kind != "scalar" or len(data["rows"]) != 1 or "type" in data:
        return None
    value = data["rows"][0][0]
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _brief(kind: str, data: Mapping[str, Any]) -> str:
    """What a line of the driver log says of a record's data."""
    if kind == "call":
        return text.truncate(text.to_text(data), 200)
    rows = data.get("rows", ())
    return text.to_text(rows[0][0]) if kind == "scalar" and rows else f"{len(rows)} rows"
