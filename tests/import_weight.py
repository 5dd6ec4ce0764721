"""Print the unwanted effects of `import amllog` as JSON. test_import runs this file in a separate process."""

import atexit
import json
import sys
import threading

import structlog  # noqa: F401  amllog needs the modules that it loads

# Modules of the standard library that amllog may load in addition to structlog.
# Scripts usually load them, or they are small.
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

before, at_exit, effects = set(sys.modules), atexit._ncallbacks(), []


def watch(event, args):
    """Record every socket, thread and process, and every opened file that is not code."""
    if event.startswith(("socket.", "_thread.", "subprocess.", "os.fork")):
        effects.append(event)
    elif event == "open" and not str(args[0]).endswith((".py", ".pyc")):
        effects.append(f"opens {args[0]}")


sys.addaudithook(watch)
import amllog  # noqa: E402, F401, I001  after the hook is installed


loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
unwanted = {
    "did": effects,
    "threads": threading.active_count() - 1,
    "at exit": atexit._ncallbacks() - at_exit,
    "loaded": sorted(name for name in loaded - {"amllog", *STANDARD} if name[0] != "_"),
}
print(json.dumps({effect: value for effect, value in unwanted.items() if value}))
