"""Report to stdout what the running interpreter can import and compile.

This file is a script of the standard library alone. The interpreter of a step runs it, which may be any Python 3 and
has no amllog. The query is JSON on stdin. The report is the JSON after the last line feed and NUL, because the
start-up files of an interpreter may print.
"""

import importlib.machinery
import importlib.util
import json
import sys


def main() -> None:
    """Read the query and write the report."""
    query = json.loads(sys.stdin.buffer.read().decode())
    # The folder of this script is no folder of the step.
    del sys.path[0]
    report = {
        "version": ".".join(str(part) for part in sys.version_info[:3]),
        "missing": [name for name in query["modules"] if not can_import(name)],
        "versions": installed_versions(query["distributions"]),
        "faults": faults_of(query["scripts"]),
    }
    sys.stdout.buffer.write(b"\n\0" + json.dumps(report).encode())
    sys.stdout.buffer.flush()


def can_import(name: str) -> bool:
    """Return whether a module can be found. Packages are not imported, so only namespace packages are entered."""
    head, _, rest = name.partition(".")
    if head in sys.builtin_module_names:
        return True
    try:
        spec = importlib.util.find_spec(head)
        while spec is not None and rest and spec.origin in (None, "namespace"):
            part, _, rest = rest.partition(".")
            # The name alone: a namespace package with dots in its name looks for its parent in sys.modules.
            spec = importlib.machinery.PathFinder.find_spec(part, list(spec.submodule_search_locations or ()))
    except (ImportError, AttributeError, ValueError):
        # ValueError: the module is in sys.modules without a spec, so it was imported.
        return head in sys.modules
    return spec is not None


def installed_versions(names: "list[str]") -> "dict[str, str]":
    """Return the version of each distribution that is installed."""
    try:
        from importlib import metadata
    except ImportError:  # Python 3.7 and older
        return {}
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def faults_of(paths: "list[str]") -> "dict[str, tuple[int, str]]":
    """Return the line and the message of the syntax error of each script that has one."""
    faults = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                compile(file.read(), path, "exec", dont_inherit=True)
        except SyntaxError as error:
            faults[path] = (error.lineno or 1, error.msg)
        except ValueError as error:
            faults[path] = (1, str(error))
    return faults


if __name__ == "__main__":
    main()
