"""The reading side: from a failed run to the record that explains it.

`insights.connect()` returns an `Insights` over the journals of this machine or over the service. Each question is a
method of it, and so are `story`, `compare`, `tree` and `watch`.
"""

from amllog.insights.connection import connect
from amllog.insights.insights import Insights
from amllog.insights.query.result import Table
from amllog.insights.questions import Questions

__all__ = ["Insights", "Questions", "Table", "connect"]
