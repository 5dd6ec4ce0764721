"""An audit hook in every process of the tests that rejects connections to other machines.

A rejected connection gets the error of a machine without a network. Its address is written into the file that
REACHED_FILE names, so that the test fails (tests/conftest.py). Tests that need this error use names under `.invalid`.
"""

import os
import socket
import sys
import warnings

HERE = {"localhost", "::1", "0.0.0.0", "::", ""}


def is_local(host):
    """Return whether `host` is this machine."""
    host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    return (
        host is None
        or host in HERE
        or host.startswith("127.")
        or host == socket.gethostname()
        or is_own_address(host)
    )


def is_own_address(host):
    """Return whether `host` is an IPv4 address of this machine, which a socket can be bound to."""
    try:
        socket.inet_pton(socket.AF_INET, host)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except (OSError, ValueError):
        return False
    return True


def reject(host):
    """Record the host, then raise the error of a machine without a network."""
    host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    reached = os.environ.get("REACHED_FILE")
    if reached and not host.endswith(".invalid"):
        with open(reached, "a", encoding="utf-8") as file:
            file.write(f"{host}\n")
    raise socket.gaierror(socket.EAI_NONAME, f"tests stay on this machine, not {host}")


def hook(event, args):
    """Check names before they are resolved, and addresses before they are used."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    elif event in ("socket.connect", "socket.sendto") and args[0].family in (socket.AF_INET, socket.AF_INET6):
        host = args[1][0]
    else:
        return
    if not is_local(host):
        reject(host)


sys.addaudithook(hook)
# A deprecated function that amllog calls is a failure. Python names the module that calls it.
warnings.filterwarnings("error", category=DeprecationWarning, module=r"amllog(\.|$)")
