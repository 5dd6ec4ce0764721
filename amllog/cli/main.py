"""The command line `amllog`: what can be asked, and the exit codes.

In: arguments. Out: the answer on stdout, notices on stderr; 0 fine, 1 the answer is bad news, 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from amllog.errors import AmllogError


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole command; returns its exit code."""
    chosen, code = Namespace(command=""), 0
    try:
        from amllog.cli import parser, rows  # here, for Ctrl-C while they are imported

        parser.parser().parse_args(arguments, chosen)
        if chosen.command == "run":  # the script's own streams and errors
            return _run(chosen)
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a real stream here
        code = COMMANDS[chosen.command](chosen)
        sys.stdout.flush()
    except AmllogError as error:
        rows.notice(str(error), f"amllog {chosen.command}")
        return 2
    except MemoryError:
        rows.notice("the answer needs more memory than there is: ask for less", f"amllog {chosen.command}")
        return 2
    except BrokenPipeError:  # `amllog logs | head`: the reader has enough; nothing more at exit either
        rows.silence()
    except OSError as error:  # the disk is full, say, or a directory has lost a right meanwhile
        rows.notice(str(error), f"amllog {chosen.command}")
        return 2
    except KeyboardInterrupt:
        return 0 if chosen.command == "tail" else 130  # which has no other end
    return code


def _run(chosen: Namespace) -> int:
    from amllog.cli import run_script

    run_script.run(chosen.script, chosen.args, is_module=chosen.is_module)
    return 0


def _read(chosen: Namespace) -> int:
    from amllog.cli import query_commands

    return query_commands.read(chosen, os.environ)


def _status(chosen: Namespace) -> int:
    from amllog.cli import status

    return status.status(chosen, os.environ)


def _deliver(chosen: Namespace) -> int:
    from amllog.cli import status

    return status.deliver(chosen, os.environ)


def _serve(chosen: Namespace) -> int:
    from amllog.cli import serve

    return serve.serve(chosen)


def _doctor(chosen: Namespace) -> int:
    from amllog.cli.doctor import doctor

    return doctor.doctor(chosen, os.environ)


def _compact(chosen: Namespace) -> int:
    from amllog.cli import compact

    return compact.compact(chosen, os.environ)


def _rules(chosen: Namespace) -> int:
    from amllog.cli import alert

    return alert.write(chosen, os.environ)


def _demo(chosen: Namespace) -> int:
    from amllog.cli import demo

    return demo.demo()


COMMANDS = {
    "runs": _read, "steps": _read, "logs": _read, "errors": _read, "exceptions": _read, "metrics": _read,
    "timeline": _read, "story": _read, "compare": _read, "query": _read, "tail": _read,
    "status": _status, "deliver": _deliver, "serve": _serve, "doctor": _doctor, "demo": _demo,
    "compact": _compact, "alert": _rules, "workbook": _rules,
}  # fmt: skip
