"""Set and remove the environment variables that pass the run of this process on to its child processes."""

from __future__ import annotations

from collections.abc import MutableMapping

from amllog.config.variables import LOCAL_RUN
from amllog.context.identity import Identity, local_run_value
from amllog.context.step_process import Place, mark_process


class RunVariables:
    """The variables of one process."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._former = ""  # the value of AMLLOG_LOCAL_RUN before setup()

    def export(self, identity: Identity, token: str) -> None:
        """Set the variables. Safe to repeat. `token`: that of the process, "" if it is a worker or a fork.

        The former value of AMLLOG_LOCAL_RUN is that of the user or of the process that started this one. Workers of
        this process would record into the step in it.
        """
        if not identity.in_job:
            value, former = local_run_value(identity), self._environ.get(LOCAL_RUN, "")
            self._environ[LOCAL_RUN] = value
            self._former = former if former != value else self._former
        elif token:
            place = Place(identity.span_id, identity.parent_span_id) if identity.is_child else None
            mark_process(self._environ, identity.step_id, token, place)

    def remove(self, identity: Identity | None) -> None:
        """Restore AMLLOG_LOCAL_RUN, unless the script has set another value. In a job see `mark_process`."""
        if identity is not None and self._environ.get(LOCAL_RUN) == local_run_value(identity):
            if self._former:
                self._environ[LOCAL_RUN] = self._former
            else:
                del self._environ[LOCAL_RUN]
