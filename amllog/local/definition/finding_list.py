"""The findings of all files of one pipeline, in file order."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from amllog.local.plan.planned_steps import Finding, Severity, SourceLine


class FindingList:
    """Findings in file order. A component that two steps use gives each finding once."""

    def __init__(self) -> None:
        self._findings: dict[Finding, None] = {}
        self._files: dict[Path, int] = {}

    def begin_file(self, path: Path) -> None:
        """Put the findings of a file after those of the files before."""
        self._files.setdefault(path, len(self._files))

    def add(self, findings: Iterable[Finding]) -> None:
        """Add findings."""
        for finding in findings:
            self.begin_file(finding.position.file)
            self._findings.setdefault(finding)

    def error(self, position: SourceLine, message: str) -> None:
        """Add an error, which prevents the start."""
        self.add([Finding(position, message)])

    def warning(self, position: SourceLine, message: str) -> None:
        """Add a warning."""
        self.add([Finding(position, message, Severity.WARNING)])

    def note(self, position: SourceLine, message: str) -> None:
        """Add a note."""
        self.add([Finding(position, message, Severity.NOTE)])

    @property
    def has_errors(self) -> bool:
        """True if a finding prevents the start."""
        return any(finding.severity is Severity.ERROR for finding in self._findings)

    def has_error(self, position: SourceLine) -> bool:
        """Return whether a line has an error."""
        return any(f.position == position and f.severity is Severity.ERROR for f in self._findings)

    def sorted(self) -> list[Finding]:
        """Return all findings in file order."""
        return sorted(self._findings, key=lambda f: (self._files[f.position.file], f.position.line))


def allowed_words(word: str, allowed: Iterable[str], what: str = "allowed") -> str:
    """Return the end of a message about an unknown word: the nearest allowed word, or all of them."""
    words = list(allowed)
    near = nearest_word(word, words)
    if near:
        return f". Did you mean {near!r}?"
    listed = ", ".join(sorted(words)[:30])
    return f": {what} {'is' if len(words) == 1 else 'are'} {listed}" if words else f": nothing is {what} here"


def nearest_word(word: str, words: Iterable[str]) -> str:
    """Return the most similar word, or "". Of equally similar ones, one with the same first letter."""
    words = list(words)
    near = difflib.get_close_matches(word, words, n=3) or [w for w in words if w.lower() == word.lower()]
    return max(
        near,
        key=lambda w: (difflib.SequenceMatcher(None, w, word).ratio(), w[:1] == word[:1]),
        default="",
    )
