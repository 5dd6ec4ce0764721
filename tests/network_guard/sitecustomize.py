"""Loaded by every process of the tests: nothing here reaches an address off this machine.

Who tries gets the answer of a machine without a network, and is written into the file that REACHED_FILE
names: the test that did it fails (tests/conftest.py). Names under `.invalid` are the way to ask for that
answer on purpose.
"""

import os
import socket
import sys
import warnings

HERE = {"localhost", "::1", "0.0.0.0", "::", ""}


def is_here(host):
    """Whether `host` is this machine; names of tests that want no answer count as nowhere."""
    host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    return host is None or host in HERE or host.startswith("127.") or host == socket.gethostname()


def refuse(host):
    """Note who was asked for, then answer as an unplugged machine does."""
    host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    reached = os.environ.get("REACHED_FILE")
    if reached and not host.endswith(".invalid"):
        with open(reached, "a", encoding="utf-8") as file:
            file.write(f"{host}\n")
    raise socket.gaierror(socket.EAI_NONAME, f"tests stay on this machine, not {host}")


def hook(event, args):
    """The audit hook: looks at names before they are resolved and at addresses before they are used."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    elif event in ("socket.connect", "socket.sendto") and args[0].family in (socket.AF_INET, socket.AF_INET6):
        host = args[1][0]
    else:
        return
    if not is_here(host):
        refuse(host)


sys.addaudithook(hook)
# A deprecated function that amllog calls is a failure. Python names the module that calls it.
warnings.filterwarnings("error", category=DeprecationWarning, module=r"amllog(\.|$)")
