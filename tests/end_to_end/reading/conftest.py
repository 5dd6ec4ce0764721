"""The journals for the tests of the reading side."""

from ...insights.conftest import journal

__all__ = ["journal"]
