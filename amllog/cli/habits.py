"""The words that users of other tools type, and the words here.

`rewrite` returns words of the same meaning. For all others, a message names the right word: nothing is guessed and run.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence

_SCRIPT = re.compile(r"\.(py|ya?ml|json|ipynb|sh|pyz)$", re.IGNORECASE)
_COUNT = re.compile(r"-\d+")
WORDS = {
    **dict.fromkeys(("log", "cat", "output"), "logs"),
    **dict.fromkeys(("ls", "list", "ps", "get", "history", "jobs", "experiments"), "runs"),
    **dict.fromkeys(("show", "describe", "inspect", "why", "explain", "summary", "job"), "story"),
    **dict.fromkeys(("follow", "watch", "stream", "attach"), "tail -f"),
    "diff": "compare",
    **dict.fromkeys(("download", "pull"), "fetch RUN"),
    **dict.fromkeys(("grep", "search", "find"), "logs --contains TEXT"),
    "head": "logs --limit N",
    **dict.fromkeys(("ui", "server", "start", "up"), "serve"),
    **dict.fromkeys(("flush", "push", "send", "sync", "upload"), "deliver"),
    **dict.fromkeys(("check", "validate", "diagnose", "init"), "doctor"),
    **dict.fromkeys(("delete", "rm", "prune", "clean", "gc"), "doctor"),
    **dict.fromkeys(("exec", "python", "launch", "submit", "create"), "run SCRIPT"),
    **dict.fromkeys(("trace", "spans"), "timeline"),
    **dict.fromkeys(("kql", "sql"), "query"),
    "error": "errors",
    "top": "status",
}
_THE_RUN = "the run is an argument without an option: amllog {} RUN"
OPTIONS = {
    **dict.fromkeys(("--run", "--run-id", "--id", "--job", "--parent-run-id"), _THE_RUN),
    **dict.fromkeys(("-o", "--output", "--format", "-j", "--output-format"), "use --json or --csv"),
    **dict.fromkeys(("--color", "--colour", "--no-color", "--no-colour"), "set NO_COLOR=1 or FORCE_COLOR=1"),
    "--no-pager": "set PAGER=cat",
    **dict.fromkeys(
        ("-v", "--verbose", "-q", "--quiet", "--debug"), "the answer is on stdout, notices are on stderr"
    ),
    **dict.fromkeys(("-t", "--timestamps", "--time"), "each line begins with its time"),
    "--tz": "its times are in UTC: use amllog logs --tz ZONE",
    "--utc": "times are in UTC unless --tz is passed",
    **dict.fromkeys(("-p", "--previous"), "the run before the last one is the argument last~1"),
    **dict.fromkeys(("-l", "-e", "--errors"), "use --level LEVEL, or the command errors"),
    **dict.fromkeys(("-A", "-B", "-C", "--context"), "amllog story shows the lines before a failure"),
    **dict.fromkeys(("-g", "--search", "--filter", "--regex"), "use --contains TEXT, or amllog query"),
    "--query": "use amllog query KQL",
    "--host": "the local Azure listens on 127.0.0.1 only",
    "--head": "use --limit N",
    "--all": "the argument all selects every run",
}


def rewrite(words: Sequence[str], commands: Collection[str]) -> list[str]:
    """Return the words of a command line, or other words of exactly the same meaning."""
    first, *rest = words or ["--help"]
    if first == "help":
        return [*(word for word in rest[:1] if not word.startswith("-")), "--help"]
    if first == "version" or (first in ("-V", "-v") and not rest):
        return ["--version"]
    if first in ("--json", "--csv") and rest and rest[0] in commands:
        return rewrite([*rest, first], commands)
    if first not in ("logs", "tail"):
        return [first, *rest]
    rest = ["-f" if word == "-F" else word for word in rest]
    counts = [
        f"-n{word[1:]}"
        if _COUNT.fullmatch(word)
        and (not index or rest[index - 1] not in ("-n", "--lines", "--tail", "--limit"))
        else word
        for index, word in enumerate(rest)
    ]
    return [first, *_with_values(counts)]


def _with_values(words: Sequence[str]) -> list[str]:
    """Join `--since -1h`, which argparse takes for two options."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in ("--since", "--until") and re.match(r"-\d", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def explain_command(word: str, commands: Collection[str]) -> str:
    """Return the message for an unknown command."""
    if _SCRIPT.search(word):
        hint = f"did you mean amllog run {word}?"
    elif word in WORDS:
        hint = f"did you mean {WORDS[word]}?"
    else:
        near = _nearest(word, commands)
        hint = f"did you mean {near}?" if near else "amllog help lists the commands"
    return f"invalid choice: {word!r}: {hint}"


def explain_option(command: str, rest: Sequence[str], known: Collection[str]) -> str:
    """Return the message for arguments that a command does not have. `known`: its options."""
    option = next((word for word in rest if word.startswith("-")), rest[0])
    name = option.partition("=")[0]
    longer = [one for one in known if name.startswith("--") and one.startswith(f"{name}-")]
    if name in OPTIONS and name not in known:
        hint = OPTIONS[name].format(command)
    else:
        near = longer[0] if longer else _nearest(name, known) if name.startswith("--") else ""
        hint = f"did you mean {near}?" if near else f"amllog {command} --help lists the options"
    return f"unrecognized arguments: {' '.join(rest)}: {hint}"


def _nearest(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return near[0] if near else next((one for one in known if len(word) > 2 and one.startswith(word)), "")
