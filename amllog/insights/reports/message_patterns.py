"""Messages that say the same: what differs from one call to the next, folded away.

In: a message. Out: its pattern: "batch 17 of 'a.csv'" and "batch 18 of 'b.csv'" have the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

NUMBER, QUOTED, FOLDER = "#", "'…'", "…/"
_HEX = "[0-9a-fA-F]"
_WORD = re.compile(r"[0-9A-Za-z]+")
_LEAST = 6  # characters of an id that is looked for: "r1" may be part of any word
_FOLDED = (
    (re.compile(r"""(?<!\w)'[^'\n]*'(?!\w)|"[^"\n]*"|`[^`\n]*`"""), QUOTED),
    (re.compile(rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"), NUMBER),
    # The folders of a whole path: a job's working directory is another one each time. Not those of an address.
    (re.compile(r"""(?<![\w/\\:.])(?:[A-Za-z]:[\\/]|~?/)(?:[^\s\\/'"`,;:()<>|=]+[\\/])+"""), FOLDER),
    (re.compile(r"(?<![0-9A-Za-z])tmp[a-z0-9_]{8}(?![0-9A-Za-z_])"), f"tmp{NUMBER}"),  # as tempfile names them
    (re.compile(rf"\b0[xX]{_HEX}+\b|(?<![0-9A-Za-z])(?=\d*[a-fA-F])(?=[a-fA-F]*\d){_HEX}{{8,}}(?![0-9A-Za-z])"),
     NUMBER),
    (re.compile(r"(?:(?<![\w.])[-+])?\d+(?:[.,:]\d+)*(?:[eE][-+]?\d+)?"), NUMBER),
    (re.compile(r"\s+"), " "),
)  # fmt: skip


class KnownIds:
    """Ids to look for in many messages. Each is found by its longest word, which a message with the id contains."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._by_word: defaultdict[str, list[str]] = defaultdict(list)
        for one in ids:
            if len(one) >= _LEAST:
                words = _WORD.findall(one)[::-1]  # the last one differs most often
                self._by_word[max(words, key=len, default="")].append(one)

    def find_in(self, text: str) -> list[str]:
        """Return the ids in a text, the longest first."""
        words = {"", *_WORD.findall(text)}
        found = (one for word in words for one in self._by_word.get(word, ()) if one in text)
        return sorted(found, key=len, reverse=True)


def message_pattern(message: str, ids: Iterable[str] | KnownIds = ()) -> str:
    """The first line of a message without its numbers, ids (`ids` are more of these), folders and quoted texts."""
    text = next(iter(message.strip().splitlines()), "")
    for one in (ids if isinstance(ids, KnownIds) else KnownIds(ids)).find_in(text):
        text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(one)}(?![0-9A-Za-z])", NUMBER, text)
    for expression, instead in _FOLDED:
        text = expression.sub(instead, text)
    return text
