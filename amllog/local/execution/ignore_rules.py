"""The files of a code folder that a step does not get: `.amlignore`, otherwise `.gitignore`, as the service reads them.

Only the ignore file at the top of the folder counts. Each pattern is compared with the path of each file, and the last
one that matches decides. Unlike in git, `!keep/this` also works inside a folder that is excluded.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

IGNORE_FILES = (".amlignore", ".gitignore")
# Caches and data that no step reads. The last two are ours.
SKIPPED_NAMES = {
    ".git", "__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache", ".ruff_cache",
    ".amllog", "amllog-runs",
}  # fmt: skip
TOKEN = re.compile(r"\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|\\.|.", re.DOTALL)


def _segment(text: str) -> str:
    """Return the expression of one part of a path."""
    result = ""
    for token in TOKEN.findall(text):
        if token in ("*", "**"):
            result += "[^/]*"
        elif token == "?":
            result += "[^/]"
        elif token[0] == "[" and len(token) > 2:
            content = re.sub(r"([\[\\&~|])", r"\\\1", token[1:-1])
            result += f"[^{content[1:]}]" if content[0] in "!^" else f"[{content}]"
        else:
            result += re.escape(token[1:] if token[0] == "\\" and len(token) == 2 else token)
    return result


def pattern_of(line: str) -> str | None:
    """Return the expression of a line without `!`, which matches paths from their beginning. None if it has none."""
    parts = line.strip("/").split("/")
    is_folder = line.endswith("/") and parts[-1] != "**"
    if not any(parts):
        return None
    if len(parts) == 1 and not line.startswith("/"):
        parts.insert(0, "**")  # a name without a slash matches at every depth
    result = ""
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**":
            result += "(?:.*/)?" if not is_last else ".*"
        else:
            result += _segment(part) + ("" if is_last else "/")
    return result + ("/.*" if is_folder else "(?:/.*)?")


class IgnoreRules:
    """The rules of one code folder."""

    def __init__(self, lines: list[str]) -> None:
        self._rules: list[tuple[re.Pattern[str], bool]] = []
        for line in lines:
            text = line.rstrip("\r\n")
            text = text if text.endswith("\\ ") else text.rstrip()
            if not text or text.startswith("#"):
                continue
            is_kept = text.startswith("!")
            expression = pattern_of(text[1:] if is_kept else text)
            if expression:
                with contextlib.suppress(re.error):  # such as `[z-a]`, which matches nothing in git either
                    self._rules.append((re.compile(expression, re.DOTALL), is_kept))
        self.keeps_some = any(is_kept for _, is_kept in self._rules)

    @classmethod
    def of_folder(cls, folder: Path) -> IgnoreRules:
        """Read the ignore file of a folder."""
        for name in IGNORE_FILES:
            file = folder / name
            if file.is_file():
                return cls(file.read_text(encoding="utf-8-sig", errors="replace").splitlines())
        return cls([])

    def excludes(self, path: str) -> bool:
        """Return whether a file is excluded. `path` is relative, with `/`. A folder ends with `/`."""
        result = False
        for pattern, is_kept in self._rules:
            if result == is_kept and pattern.fullmatch(path):
                result = not is_kept
        return result
