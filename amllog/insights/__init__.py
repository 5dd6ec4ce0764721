"""The reading side: from a failed run to the line that explains it.

`insights.connect()` reads the journals of this machine; every question is a method of what it returns.
"""

from amllog.insights.connections import connect
from amllog.insights.questions import Questions
from amllog.insights.table import Table

__all__ = ["Questions", "Table", "connect"]
