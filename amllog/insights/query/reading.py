"""`Reading`: how complete the records are that an answer was made from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """The completeness of an answer.

    * `has_records`: any record of any run was read. The service always counts as having some.
    * `unread`: sentences about files, lines and parts of an answer that could not be read.
    * `ignored`: sentences about files in directories that have no records in a form that amllog reads.
    * `empty_places`: directories or files that were given and have no record.
    * `unknown`: sentences about values of filters that no record has.
    """

    has_records: bool = True
    unread: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    empty_places: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
