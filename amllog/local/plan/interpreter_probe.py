"""Report to stdout what the running interpreter can import and compile.

This file is a script of the standard library alone. The interpreter of a step runs it, which may be any Python 3 and
has no amllog. The query is JSON on stdin. The report is the JSON after the last line feed and NUL, because the
start-up files of an interpreter may print.
"""

import importlib.machinery
import importlib.util
import json
import os
import re
import sys


def main() -> None:
    """Read the query and write the report."""
    query = json.loads(sys.stdin.buffer.read().decode())
    # The folder of this script is no folder of the step. With PYTHONSAFEPATH it is not on the path.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if entry != here]
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
        places = namespace_folders(spec)
        while spec is not None and rest and places:
            part, _, rest = rest.partition(".")
            # The name alone: a namespace package with dots in its name looks for its parent in sys.modules.
            spec = importlib.machinery.PathFinder.find_spec(part, places)
            places = namespace_folders(spec, places)
    except (ImportError, AttributeError, ValueError, OSError):
        # ValueError: the module is in sys.modules without a spec, so it was imported.
        return head in sys.modules
    return spec is not None


def namespace_folders(
    spec: "importlib.machinery.ModuleSpec | None", places: "list[str] | None" = None
) -> "list[str]":
    """Return the folders of a namespace package, or an empty list for other modules."""
    if spec is None or spec.submodule_search_locations is None:
        return []
    if spec.origin is None or spec.origin == "namespace":
        return list(spec.submodule_search_locations)
    # azureml's distributions share a package of the older kind, which extends its path when it is imported.
    with open(spec.origin, "rb") as file:
        if not re.search(b"extend_path|declare_namespace", file.read(4096)):
            return []
    folders = [os.path.join(place, spec.name) for place in (sys.path if places is None else places)]
    return [folder for folder in folders if os.path.isdir(folder)]


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
        except (ValueError, RecursionError, MemoryError) as error:
            faults[path] = (1, str(error) or type(error).__name__)
        except OSError:  # deleted in the meantime, or not readable: the step itself reports it
            continue
    return faults


if __name__ == "__main__":
    main()
