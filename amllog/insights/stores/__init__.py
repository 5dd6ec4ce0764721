"""The stores that records are read from: `Store`, the protocol of all stores, and `Unasked`, which runs no query."""

from amllog.insights.stores.store import Store, Unasked

__all__ = ["Store", "Unasked"]
