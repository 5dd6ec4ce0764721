"""A local Azure: Application Insights and the run history of Azure ML over loopback HTTP.

It returns a connection string and the environments of jobs, with which the real SDKs work unchanged:

    with AzureOnThisMachine("azure") as azure:
        environment = azure.job_environment(run_id="run_1", step_name="train")
        ...  # run train.py in a child process with these variables added
        print(azure.values("run_1"), azure.envelopes)

`Pipeline` runs whole pipelines with it: files of Azure ML, step objects of both SDKs, and plain functions.
"""

from amllog.local.azure import AzureOnThisMachine
from amllog.local.faults import Fault, Faults
from amllog.local.http.gateway import Served
from amllog.local.pipeline import Pipeline
from amllog.local.serving import serve

__all__ = ["AzureOnThisMachine", "Fault", "Faults", "Pipeline", "Served", "serve"]
