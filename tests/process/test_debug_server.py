"""The debug server: its messages, its address, and the speed of a process for which no debugger came."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from amllog.process import debug_server
from amllog.process.debug_server import DebugOptions

NOBODY = """
import os, sys, threading
from amllog.process.debug_server import DebugOptions, wait_for_debugger

lines = []
assert wait_for_debugger(DebugOptions(port=0, seconds=0.1), lines.append) is False
assert wait_for_debugger(DebugOptions(port=0, seconds=600), lines.append) is False, "it waited again"
traces = [sys.gettrace()]
thread = threading.Thread(target=lambda: traces.append(sys.gettrace()))
thread.start()
thread.join()
assert traces == [None, None], traces
child = os.fork()
if not child:
    os._exit(sys.gettrace() is not None)
assert os.waitpid(child, 0)[1] == 0
import subprocess
shown = subprocess.run([sys.executable, "-c", "import sys; print('pydevd' in sys.modules)"], capture_output=True)
print(shown.stdout.decode(), shown.stderr.decode(), *lines, sep="")
"""


def test_a_process_without_a_debugger_is_not_slower(child: Any) -> None:
    """After the wait, no thread and no child process of a process is traced."""
    ran = child(NOBODY, flags=["-Wignore"])  # Python 3.12 and later warn of a fork beside threads
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("False\n")
    assert "no debugger attached within 0.1 s" in ran.stdout


def test_the_configuration_maps_a_copy_to_its_source() -> None:
    """The configuration for launch.json maps the working directory to the source, if it is another folder."""
    fragment = debug_server.launch_fragment(DebugOptions(source="/code", name="amllog: train"))
    assert fragment == {
        "name": "amllog: train",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": "127.0.0.1", "port": 5678},
        "pathMappings": [{"localRoot": "/code", "remoteRoot": os.getcwd()}],
    }
    assert "pathMappings" not in debug_server.launch_fragment(DebugOptions(source=os.getcwd()))


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)],
)
def test_an_address_beyond_this_machine_has_a_warning(host: str, is_local: bool) -> None:
    """Only an address that other machines reach has a warning, and a wildcard is shown as the name of the machine."""
    lines = debug_server.describe(DebugOptions(host))
    assert any("can run code in this process" in line for line in lines) is not is_local
    connect = debug_server.launch_fragment(DebugOptions(host))["connect"]
    assert connect == {"host": host if is_local else socket.gethostname(), "port": 5678}


def test_a_port_in_use_is_replaced_or_rejected(child: Any) -> None:
    """Another port replaces one that is in use. An error names a port that must not be replaced."""
    code = """
import errno, socket
from amllog.process.debug_server import DebugOptions, wait_for_debugger
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
    try:
        wait_for_debugger(DebugOptions(port=port, is_port_fixed=True), print)
    except OSError as error:
        print(error.errno == errno.EADDRINUSE, str(port) in str(error))
    lines = []
    wait_for_debugger(DebugOptions(port=port, seconds=0), lines.append)
    print(f'"port": {port}' in lines[1], '"host": "127.0.0.1", "port": ' in lines[1])
"""
    ran = child(code)
    assert (ran.stdout, ran.stderr) == ("True True\nFalse True\n", "")


def test_debugpy_may_be_missing(child: Any) -> None:
    """The import error of debugpy is that of the caller."""
    code = """
import sys
sys.modules["debugpy"] = None
from amllog.process.debug_server import DebugOptions, wait_for_debugger
wait_for_debugger(DebugOptions(), print)
"""
    ran = child(code)
    assert ran.returncode == 1 and "ModuleNotFoundError: import of debugpy" in ran.stderr
