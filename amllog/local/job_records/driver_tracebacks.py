"""The last traceback of Python in a driver log, as the data of an exception record.

A script without amllog leaves nothing else of its exception. The format is that of `traceback.print_exception`. The
log may contain any bytes, other lines between two tracebacks, and tracebacks of exceptions that were caught.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from amllog.record import text
from amllog.record.redaction import Redactor
from amllog.record.stacktrace import MAX_EXCEPTIONS, MAX_FRAMES, MAX_STACK

TAIL_BYTES = 256 * 1024
MESSAGE_LINES = 50
MAX_MESSAGE = 8_192
_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_GROUP_PREFIX = re.compile(r"^(?:  )*(?:[|+] )")  # of the lines of an exception group
_HEADER = re.compile(r"(?:Exception Group )?Traceback \(most recent call last\):\Z")
_FRAME = re.compile(r'  File "(?P<file>[^"\n]*)", line (?P<line>\d{1,9})(?:, in (?P<method>.+))?\Z')
_LAST_LINE = re.compile(r"(?P<type>[A-Za-z_][\w.<>]{0,400})(?:: ?(?P<message>.*))?\Z", re.DOTALL)
_LINK = re.compile(
    r"(?:During handling of the above exception, another exception occurred|"
    r"The above exception was the direct cause of the following exception):\Z"
)
# Lines after a traceback that do not belong to the message: those of loggers, and those that MLflow prints at the end.
_OTHER_LINE = re.compile(r"[\[(]?\d{4}[-/]\d\d[-/]\d\d|(?:\U0001F3C3|\U0001F9EA) View ")


class Frame(NamedTuple):
    """A frame of a traceback."""

    file: str
    line: int
    method: str


class PrintedException(NamedTuple):
    """An exception of a traceback. The frames are in the order of the log: the innermost is the last."""

    type_name: str
    message: str
    frames: tuple[Frame, ...]


def read_tail(log: Path) -> str:
    """Return the end of a driver log without colors. "" if the file does not exist."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read(TAIL_BYTES)
    except OSError:
        return ""
    decoded = tail.decode("utf-8", "replace").replace("\r\n", "\n")
    return _TERMINAL_CODE.sub("", decoded)


def last_line(log_text: str) -> str:
    """Return the last line that is not empty. Of a progress bar, the last state."""
    lines = (line.rstrip("\r").rpartition("\r")[2].strip() for line in reversed(log_text.split("\n")))
    return next(filter(None, lines), "")


def exception_data(log_text: str, redactor: Redactor) -> dict[str, Any] | None:
    """Return the last traceback as the data of an exception record without properties. None without a traceback."""
    lines = _lines(log_text)
    found = _last_chain(lines)
    if found is None:
        return None
    chain, begin, end = found
    stack = redactor.mask_and_truncate_middle("\n".join(lines[begin:end]).rstrip(), MAX_STACK)
    details = [_details(number, exception, redactor) for number, exception in enumerate(chain, 1)]
    details[0].update(stack=stack, outerId=0)
    outer = chain[0]
    place = f" at {outer.frames[-1].file}:{outer.frames[-1].method}" if outer.frames else ""
    problem = text.truncate(f"{outer.type_name}{place}", 1_024)
    return {"exceptions": details, "severityLevel": 4, "problemId": problem}


def last_exceptions(log_text: str) -> list[PrintedException]:
    """Return the exceptions of the last traceback, the outermost first. Empty without a traceback."""
    found = _last_chain(_lines(log_text))
    return found[0] if found else []


def _lines(log_text: str) -> list[str]:
    return [_GROUP_PREFIX.sub("", line) for line in log_text.split("\n")]


def _details(number: int, exception: PrintedException, redactor: Redactor) -> dict[str, Any]:
    limit = MAX_FRAMES if number == 1 else MAX_FRAMES // number
    frames = list(enumerate(reversed(exception.frames)))
    if len(frames) > limit:
        frames = frames[: limit - limit // 2] + frames[len(frames) - limit // 2 :]
    return {
        "id": number,
        "outerId": number - 1,
        "typeName": text.truncate(exception.type_name, 1_024),
        "message": redactor.mask_and_truncate(exception.message or exception.type_name, MAX_MESSAGE),
        "hasFullStack": bool(frames),
        "stack": "",
        "parsedStack": [
            {
                "level": level,
                "method": text.truncate(frame.method, 1_024),
                "fileName": text.truncate(frame.file, 1_024),
                "line": frame.line,
            }
            for level, frame in frames
        ],
    }


def _last_chain(lines: Sequence[str]) -> tuple[list[PrintedException], int, int] | None:
    """Return the exceptions of the last chain, the outermost first, and its lines."""
    for start in range(len(lines) - 1, -1, -1):
        parsed = _exception_at(lines, start)
        if parsed is None:
            continue
        exception, end = parsed
        chain, begin = [exception], start
        while len(chain) < MAX_EXCEPTIONS and (cause := _cause_before(lines, begin)):
            chain.append(cause[0])
            begin = cause[1]
        return chain, begin, end
    return None


def _cause_before(lines: Sequence[str], begin: int) -> tuple[PrintedException, int] | None:
    """Return the exception that a link before the line `begin` belongs to, and its first line."""
    above = [index for index in range(max(0, begin - 3), begin) if _LINK.match(lines[index].strip())]
    if not above:
        return None
    for start in range(above[-1] - 1, max(-1, above[-1] - 2_000), -1):
        parsed = _exception_at(lines, start)
        if parsed is not None:
            return parsed[0], start
    return None


def _exception_at(lines: Sequence[str], start: int) -> tuple[PrintedException, int] | None:
    """Return the exception whose traceback begins in this line, and the line after it."""
    is_header = bool(_HEADER.match(lines[start].strip()))
    is_syntax_error = not is_header and _is_place_of_syntax_error(lines, start)
    if not is_header and not is_syntax_error:
        return None
    index, frames = start + int(is_header), []
    while index < len(lines) and (lines[index].startswith(" ") or not lines[index].strip()):
        if frame := _FRAME.match(lines[index].rstrip()):
            frames.append(Frame(frame["file"], int(frame["line"]), frame["method"] or "<module>"))
        elif not lines[index].strip() and not frames:
            return None
        index += 1
    match = _LAST_LINE.match(lines[index].rstrip()) if index < len(lines) else None
    if match is None:
        return None
    end = _end_of_message(lines, index + 1)
    message = "\n".join([match["message"] or "", *lines[index + 1 : end]]).rstrip()
    return PrintedException(match["type"], message, tuple(frames)), end


def _end_of_message(lines: Sequence[str], index: int) -> int:
    """Return the line after a message of several lines, which ends before an empty line or the next traceback."""
    end = index
    while end < len(lines) and end - index < MESSAGE_LINES:
        line = lines[end].strip()
        if not line or any(pattern.match(line) for pattern in (_HEADER, _LINK, _OTHER_LINE)):
            break
        end += 1
    return end


def _is_place_of_syntax_error(lines: Sequence[str], start: int) -> bool:
    """Return whether the line is the place of an error of the compiler, which has no header before it."""
    frame = _FRAME.match(lines[start].rstrip())
    below = (line for line in lines[start + 1 : start + 5] if not line.startswith(" "))
    names = ("SyntaxError", "IndentationError", "TabError")
    is_error = next(below, "").startswith(names)
    return bool(frame and not frame["method"] and is_error) and not _is_in_traceback(lines, start)


def _is_in_traceback(lines: Sequence[str], start: int) -> bool:
    """Return whether frames of a traceback precede the line."""
    for line in reversed(lines[:start]):
        if _HEADER.match(line.strip()):
            return True
        if not line.startswith(" "):
            return False
    return False
