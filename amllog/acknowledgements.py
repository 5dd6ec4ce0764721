"""What is noted beside a journal file: how far each outlet has settled its lines.

In: the path of an `.ack` file. Out: a `Progress` per outlet. The format stands in docs/map.md.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path


class Progress:
    """What one outlet has settled of one segment: all before `to`, but for the lines at the offsets in `again`."""

    __slots__ = ("again", "delivered", "refused", "to")

    def __init__(self) -> None:
        self.to = 0
        self.again: list[int] = []
        self.delivered = 0
        self.refused: Counter[str] = Counter()


def read(path: Path) -> dict[str, Progress]:
    """By outlet, what the file says; nothing where there is none."""
    found: dict[str, Progress] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError:  # none yet
        return found
    for line in lines:
        try:
            entry = json.loads(line)
            progress = found.setdefault(str(entry["outlet"]), Progress())
            progress.to, progress.again = int(entry["to"]), [int(offset) for offset in entry.get("again", ())]
            progress.delivered += int(entry["delivered"])
            progress.refused.update(entry.get("refused", {}))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # torn by a kill: that batch is offered again, with the same record ids
    return found
