"""Run by test_import in a process of its own: prints, as JSON, what `import amllog` does that it should not."""

import atexit
import json
import sys
import threading

import structlog  # noqa: F401  what it loads is paid anyway

# What of the standard library may come along beside what structlog loads anyway: what scripts have loaded, or is small.
STANDARD = {
    "atexit",
    "contextvars",
    "dataclasses",
    "datetime",
    "difflib",
    "enum",
    "errno",
    "fcntl",
    "json",
    "logging",
}
STANDARD |= {
    "math",
    "platform",
    "re",
    "signal",
    "threading",
    "traceback",
    "typing",
    "uuid",
    "warnings",
}

before, at_exit, done = set(sys.modules), atexit._ncallbacks(), []


def watch(event, args):
    """Note every socket, thread and process, and every file that is not code."""
    if event.startswith(("socket.", "_thread.", "subprocess.", "os.fork")):
        done.append(event)
    elif event == "open" and not str(args[0]).endswith((".py", ".pyc")):
        done.append(f"opens {args[0]}")


sys.addaudithook(watch)
import amllog  # noqa: E402, F401, I001  after the watch has begun


loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
found = {
    "did": done,
    "threads": threading.active_count() - 1,
    "at exit": atexit._ncallbacks() - at_exit,
    "loaded": sorted(name for name in loaded - {"amllog", *STANDARD} if name[0] != "_"),
}
print(json.dumps({what: much for what, much in found.items() if much}))
