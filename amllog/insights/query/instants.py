"""Parse points in time and durations as people write them.

These are the forms of journalctl, git, docker and kubectl: `yesterday`, `2 hours ago`, `1h30m`, `10:00`, Unix seconds.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, timezone, tzinfo

EXAMPLES = "2026-11-22T10:00:00Z, 2026-11-22, yesterday, 10:00, or 2h ago"
MAX_DURATION = timedelta(days=36_500)
_SECONDS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_UNITS = {
    **dict.fromkeys(("week", "weeks"), "w"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), "m"),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
}
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*([a-z]+)\s*", re.ASCII)
_AGO = re.compile(r"-\s*(.+)|(.+?)\s+ago", re.ASCII)
_UNIX = re.compile(r"@?(\d{9,13})(\.\d+)?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_FRACTION = re.compile(r"\.(\d+)")


def parse_duration(text: str) -> timedelta | None:
    """Return a duration such as `7d`, `1h30m` or `2 days`. None if it is invalid, zero or longer than 100 years."""
    seconds, end, lowered = 0.0, 0, text.strip().lower()
    for match in _PART.finditer(lowered):
        unit = _UNITS.get(match[2], match[2])
        if match.start() != end or unit not in _SECONDS:
            return None
        seconds, end = seconds + float(match[1]) * _SECONDS[unit], match.end()
    is_valid = 0 < end == len(lowered) and 0 < seconds <= MAX_DURATION.total_seconds()
    return timedelta(seconds=seconds) if is_valid else None


def parse_instant(text: str, now: datetime, zone: tzinfo = timezone.utc) -> datetime | None:
    """Return a point in time. `zone` is that of days and of times without an offset. None if it is invalid."""
    lowered = text.strip().lower()
    try:
        return _relative(lowered, now, zone) or _absolute(text.strip(), zone)
    except (ValueError, OverflowError, OSError):
        return None


def _relative(text: str, now: datetime, zone: tzinfo) -> datetime | None:
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone)
    if text == "now":
        return now
    if text in _DAYS:
        return midnight + timedelta(days=_DAYS[text])
    ago = _AGO.fullmatch(text)
    duration = parse_duration((ago[1] or ago[2]) if ago else text)
    if duration is not None:
        return now - duration
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        return midnight.replace(hour=int(clock[1]), minute=int(clock[2]), second=int(clock[3] or 0))
    return None


def _absolute(text: str, zone: tzinfo) -> datetime:
    unix = _UNIX.fullmatch(text)
    if unix is not None:
        number = float(unix[1] + (unix[2] or ""))
        return datetime.fromtimestamp(number / 1000 if number > 1e11 else number, timezone.utc)
    # Python before 3.11 knows neither Z nor other numbers of digits than 3 and 6.
    digits = _FRACTION.sub(lambda match: f".{match[1][:6]:0<6}", text.upper().replace("Z", "+00:00"))
    instant = datetime.fromisoformat(digits)
    return instant if instant.tzinfo else instant.replace(tzinfo=zone)
