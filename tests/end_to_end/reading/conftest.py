"""The journals that the tests of the reading side use."""

from ...insights.conftest import journal

__all__ = ["journal"]
