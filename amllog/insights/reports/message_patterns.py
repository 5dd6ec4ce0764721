"""Reduce messages to patterns, so that messages that differ only in values group together.

"batch 17 of 'a.csv'" and "batch 18 of 'b.csv'" have the same pattern.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

NUMBER, QUOTED, FOLDER = "#", "'…'", "…/"
_HEX = "[0-9a-fA-F]"
_WORD = re.compile(r"[0-9A-Za-z]+")
_MIN_ID = 6  # characters of an id that is replaced, because a short one such as "r1" may be part of any word
_REPLACEMENTS = (
    (re.compile(r"""(?<!\w)'[^'\n]*'(?!\w)|"[^"\n]*"|`[^`\n]*`"""), QUOTED),
    (re.compile(rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"), NUMBER),
    # The folders of an absolute path, but not of a URL. The working directory differs from job to job.
    (re.compile(r"""(?<![\w/\\:.])(?:[A-Za-z]:[\\/]|~?/)(?:[^\s\\/'"`,;:()<>|=]+[\\/])+"""), FOLDER),
    (re.compile(r"(?<![0-9A-Za-z])tmp[a-z0-9_]{8}(?![0-9A-Za-z_])"), f"tmp{NUMBER}"),  # names of tempfile
    (re.compile(rf"\b0[xX]{_HEX}+\b|(?<![0-9A-Za-z])(?=\d*[a-fA-F])(?=[a-fA-F]*\d){_HEX}{{8,}}(?![0-9A-Za-z])"),
     NUMBER),
    (re.compile(r"(?:(?<![\w.])[-+])?\d+(?:[.,:]\d+)*(?:[eE][-+]?\d+)?"), NUMBER),
    (re.compile(r"\s+"), " "),
)  # fmt: skip


class KnownIds:
    """Ids that are searched in many messages. Each is found by its longest word, which a message with the id has."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._by_word: defaultdict[str, list[str]] = defaultdict(list)
        for known in ids:
            if len(known) >= _MIN_ID:
                words = _WORD.findall(known)[::-1]  # the last one differs most often
                self._by_word[max(words, key=len, default="")].append(known)

    def find_in(self, text: str) -> list[str]:
        """Return the ids in a string, the longest first."""
        words = {"", *_WORD.findall(text)}
        ids = (known for word in words for known in self._by_word.get(word, ()) if known in text)
        return sorted(ids, key=len, reverse=True)


def message_pattern(message: str, ids: Iterable[str] | KnownIds = ()) -> str:
    """Return the first line of a message without numbers, ids, folders and quoted strings.

    `ids` are ids that do not look like one.
    """
    text = next(iter(message.strip().splitlines()), "")
    for known in (ids if isinstance(ids, KnownIds) else KnownIds(ids)).find_in(text):
        text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(known)}(?![0-9A-Za-z])", NUMBER, text)
    for expression, replacement in _REPLACEMENTS:
        text = expression.sub(replacement, text)
    return text
