"""The reading side: from a failed run to the line that explains it.

`insights.connect()` reads the journals of this machine, or asks the service; every question is a method of what it
returns, and so are `story`, `compare`, `tree` and `watch`.
"""

from amllog.insights.connections import connect
from amllog.insights.correlation import Insights
from amllog.insights.questions import Questions
from amllog.insights.table import Table

__all__ = ["Insights", "Questions", "Table", "connect"]
