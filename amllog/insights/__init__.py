"""The reading side: from a failed run to the line that explains it.

`insights.connect()` reads the journals of this machine, or asks the service; every question is a method of what it
returns, and so are `story`, `compare`, `tree` and `watch`.
"""

from amllog.insights.connection import connect
from amllog.insights.insights import Insights
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions

__all__ = ["Insights", "Questions", "Table", "connect"]
