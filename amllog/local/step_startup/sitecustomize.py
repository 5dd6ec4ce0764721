"""Post the metrics of azureml's `Run` that wait in memory when a step of a local run ends.

azureml posts metrics every second from a thread that ends with the process, so a short script loses them. The runtime
of SDK v1 flushed them around the script. Here, Python imports this file at the start of a step, because its folder is
on PYTHONPATH. It runs in any interpreter, also without amllog. It imports nothing unless the script has used azureml.

The folder has no other module. The `sitecustomize` of the interpreter or of the user is imported next.
"""

import atexit
import os
import sys

_MODULE = "azureml._restclient.metrics_client"
_BATCH = 45  # as many as azureml posts at once


def _import_next() -> None:
    """Import the `sitecustomize` that this one stands in front of. Without one, this one stays."""
    own = sys.modules.pop("sitecustomize", None)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    try:
        __import__("sitecustomize")
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        if own is not None:
            sys.modules.setdefault("sitecustomize", own)


def _post_waiting_metrics(process: int) -> None:
    """Post what azureml's queues hold, in the process that was started here. A fork holds copies."""
    kind = getattr(sys.modules.get(_MODULE), "MetricsClient", None)
    if kind is None or os.getpid() != process:
        return
    import gc
    import queue

    for client in gc.get_objects():
        if type(client) is not kind:
            continue
        items = getattr(getattr(client, "_task_queue_v2_internal", None), "_items", None)
        waiting = []
        try:
            while items is not None:
                waiting.append(items.get_nowait())
        except queue.Empty:
            pass
        try:
            for start in range(0, len(waiting), _BATCH):
                client._log_batch_v2(waiting[start : start + _BATCH])
        except Exception as error:
            sys.stderr.write(f"amllog: azureml could not post {len(waiting)} metrics at the end: {error}\n")


atexit.register(_post_waiting_metrics, os.getpid())
_import_next()  # last, because it may raise
