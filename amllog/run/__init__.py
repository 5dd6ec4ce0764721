"""The `Run` behind `log.run`: azureml's own names and signatures, safe online and offline.

In: calls as azureml's `Run` takes them (the superset of its online and offline class), and a `Gate`.
Out: every write is a journaled record, so that it costs no network in the caller's thread, survives kill -9 and
never raises for what the service does. Reads pass through to the real run, or answer from this process's memory.
"""

from amllog.run.gate import Gate, Source, Who
from amllog.run.memory import Memory
from amllog.run.run import Run

__all__ = ["Gate", "Memory", "Run", "Source", "Who"]
