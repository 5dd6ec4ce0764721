"""Libraries that put their own hooks for exceptions after setup()."""

from __future__ import annotations

from typing import Any

import pytest

SETUP = "import sys, threading\nimport amllog\namllog.setup()\n"
FAIL = "def fail(): raise ValueError('boom')\n"
LIBRARIES = {
    "rich": "import rich.traceback; rich.traceback.install()",
    "better_exceptions": "import better_exceptions; better_exceptions.hook()",
    "stackprinter": "import stackprinter; stackprinter.set_excepthook()",
    "pretty_errors": "import pretty_errors",
    "IPython": "from IPython.core import ultratb; sys.excepthook = ultratb.FormattedTB(mode='Context')",
    "sentry": (
        "import sentry_sdk.integrations.excepthook, sentry_sdk.integrations.threading\n"
        "sentry_sdk.init(transport=sentry_sdk.Transport, default_integrations=False,\n"
        "    integrations=[sentry_sdk.integrations.excepthook.ExcepthookIntegration(),\n"
        "                  sentry_sdk.integrations.threading.ThreadingIntegration()])\n"
        "amllog.setup()"
    ),
    "exceptiongroup and trio": "import exceptiongroup, trio",
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_exception_hooks(child: Any, journaled: Any, library: str) -> None:
    """The exceptions of a thread and of the main thread are recorded once, and the step fails."""
    code = "thread = threading.Thread(target=fail); thread.start(); thread.join()\nfail()"
    ran = child(SETUP + FAIL + LIBRARIES[library] + "\n" + code, env={"AMLLOG_DRIVER_LEVEL": "ERROR"})
    records = journaled()
    places = [data["exceptions"][0]["message"].split(" ")[2] for data in records.of_type("Exception")]
    assert (ran.returncode, places) == (1, ["in", "boom"]), ran.stderr
    assert [data["responseCode"] for data in records.of_type("Request")] == ["uncaught exception"]


@pytest.mark.parametrize("library", ["cloudpickle", "dill"])
def test_pickles_of_modules(child: Any, library: str) -> None:
    """Functions and modules can be pickled as without amllog, also `sys` itself."""
    code = f"""
import {library} as library
def work(): return sys.version, threading.get_ident, type(sys)("m")
print(library.loads(library.dumps(sys)) is sys, library.loads(library.dumps(threading)) is threading)
print(library.loads(library.dumps(work))()[0] == sys.version, library.loads(library.dumps(sys.exit)) is sys.exit)
"""
    assert child(SETUP + code).stdout.splitlines()[-2:] == ["True True", "True True"]
