"""The simple commands of a shell command, as far as they are known before it runs.

This is no shell. It reads words, quotes, comments and operators. After a construct that it does not know (a loop, a
function, a here-document), it returns no more commands, so that nothing is reported that may be correct.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

UNKNOWN = "\ue000"  # stands for a value that is known only when the step runs
_OPERATOR = re.compile(r"&&|\|\||\|&|;;|[;|&\n()]")
_REDIRECTION = re.compile(r"\d*(?:>>|>\||>&|<&|&>>|&>|<>|<<<|<<-?|>|<)&?-?")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=.*", re.DOTALL)
_UNREAD = {"for", "case", "select", "function", "coproc", "eval", "alias"}
_OPENING = {"if", "while", "until", "!", "then", "else", "elif", "do", "{", "}", "fi", "done"}
_CONDITIONAL = {"if", "while", "until", "!", "elif", "else"}
_WRAPPERS = {"time", "exec", "nohup", "env", "command", "builtin", "sudo", "nice"}


class UnbalancedQuote(ValueError):
    """A quote that does not end. The value is the quote, and `word` is what follows up to a space."""

    def __init__(self, quote: str, word: str) -> None:
        super().__init__(quote)
        self.word = word


class Word(NamedTuple):
    """A word without its quotes. It is literal if the shell does not change it."""

    text: str
    is_literal: bool = True


@dataclass(frozen=True)
class SimpleCommand:
    """A program with its arguments.

    It is certain if it runs whenever the commands before it succeed, and its failure is not handled. `writes` is
    whether it writes to a file by `>`. `moves_modules` is whether it sets PYTHONPATH. `operator` is the one after
    it, or "" at the end.
    """

    words: tuple[Word, ...]
    is_certain: bool = True
    writes: bool = False
    moves_modules: bool = False
    operator: str = ""

    @property
    def is_piped(self) -> bool:
        """Return whether the next command reads its output, and decides its exit code."""
        return self.operator in {"|", "|&"}

    @property
    def program(self) -> str:
        """Return the name of the program, or "" if it is not literal."""
        return self.words[0].text if self.words[0].is_literal else ""


def simple_commands(text: str) -> list[SimpleCommand]:
    """Return the commands in their order. Raise UnbalancedQuote if the shell would reject the command."""
    reader = _Reader(text.replace("\\\r\n", "").replace("\\\n", ""))
    reader.read()
    return reader.commands


class _Reader:
    """A position in the text of a command, and the commands before it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._words: list[Word] = []
        self._writes = False
        self._is_certain = True
        self._is_known = True
        self.commands: list[SimpleCommand] = []

    def read(self) -> None:
        """Read the whole text."""
        while self._at < len(self._text) and self._is_known:
            character = self._text[self._at]
            operator = _OPERATOR.match(self._text, self._at)
            redirection = _REDIRECTION.match(self._text, self._at)
            if character in " \t\r":
                self._at += 1
            elif character == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif redirection:
                self._redirect(redirection)
            elif operator:
                self._at = operator.end()
                self._end(operator[0])
            else:
                self._words.append(self._word())
        self._end("")

    def _redirect(self, match: re.Match[str]) -> None:
        self._at = match.end()
        if "<<" in match[0] and "<<<" not in match[0]:
            self._is_known = False  # a here-document
        elif ">" in match[0] and not match[0].endswith("&") and not match[0].endswith("-"):
            self._writes = True
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
        if self._at < len(self._text) and not _OPERATOR.match(self._text, self._at):
            self._word()

    def _word(self) -> Word:
        """Read a word, with the quotes inside it."""
        parts: list[str] = []
        is_literal = True
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in " \t\r<>" or _OPERATOR.match(character):
                break
            if character in "'\"":
                text, is_plain = self._quoted(character)
                parts.append(text)
                is_literal = is_literal and is_plain
                continue
            if character == "\\":
                parts.append(self._text[self._at + 1 : self._at + 2])
                self._at += 2
                continue
            if self._text.startswith("$(", self._at) or character == "`":
                self._skip_substitution()
                is_literal = False
                continue
            is_literal = is_literal and character not in "$*?[{~" + UNKNOWN
            parts.append(character)
            self._at += 1
        return Word("".join(parts), is_literal)

    def _quoted(self, quote: str) -> tuple[str, bool]:
        """Read a quoted string. Return its text, and whether it is literal."""
        start = self._at + 1
        end = start
        while end < len(self._text) and self._text[end] != quote:
            end += 2 if quote == '"' and self._text[end] == "\\" else 1
        if end >= len(self._text):
            raise UnbalancedQuote(quote, re.split(r"\s", self._text[start:], maxsplit=1)[0])
        self._at = end + 1
        text = self._text[start:end]
        if quote == "'":
            return text, UNKNOWN not in text
        return re.sub(r'\\(["\\$`])', r"\1", text), not re.search(rf"(?<!\\)[$`]|{UNKNOWN}", text)

    def _skip_substitution(self) -> None:
        if self._text[self._at] == "`":
            end = self._text.find("`", self._at + 1)
            self._at = len(self._text) if end < 0 else end + 1
            return
        depth = 0
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in "'\"":
                self._quoted(character)
                continue
            depth += {"(": 1, ")": -1}.get(character, 0)
            self._at += 1
            if character == ")" and depth == 0:
                return

    def _end(self, operator: str) -> None:
        """End a simple command at an operator."""
        words, self._words = self._words, []
        moves_modules = any(word.text.startswith("PYTHONPATH=") for word in words)
        writes, self._writes = self._writes, False
        while words and words[0].is_literal and words[0].text in _OPENING:
            self._is_certain = self._is_certain and words[0].text not in _CONDITIONAL
            words = words[1:]
        # A word before "(" is the name of a function or of an array. "((" begins an arithmetic expression.
        is_read = not (operator == "(" and (words or self._text.startswith("(", self._at)))
        while words and (_ASSIGNMENT.fullmatch(words[0].text) or _is_wrapper(words)):
            words = words[1:]
        is_test = bool(words) and words[0].text == "[["  # "&&" inside of it is no operator of the shell
        if not is_read or (words and words[0].text in _UNREAD) or (is_test and words[-1].text != "]]"):
            self._is_known = False
            return
        if operator in {"||", ")"}:
            self._is_certain = False
        if words:
            self.commands.append(
                SimpleCommand(tuple(words), self._is_certain, writes, moves_modules, operator)
            )


def _is_wrapper(words: list[Word]) -> bool:
    """Return whether the first word runs the others. With options, it is read as a program: they may have values."""
    has_options = len(words) > 1 and words[1].text.startswith("-")
    return words[0].text in _WRAPPERS and not has_options
