"""The logging example of Azure's guide "Debug machine learning pipelines", with two lines added: the first two below.

Everything else is copied from the guide, except the connection string, which comes from the environment, and `args`,
which the guide assumes.
"""

import amllog

amllog.setup()

import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--log_level", default="DEBUG")
args = parser.parse_args()

# fmt: off
# ruff: noqa: PLE1205  (a dict after a message without %: the guide passes dimensions like this, and amllog supports it)
import logging

from azureml.core.run import Run
from opencensus.ext.azure.log_exporter import AzureLogHandler

run = Run.get_context()

# Azure ML Scalar value logging
run.log("scalar_value", 0.95)

# Python print statement
print("I am a python print statement, I will be sent to the driver logs.")

# Initialize python logger
logger = logging.getLogger(__name__)
logger.setLevel(args.log_level)

# Plain python logging statements
logger.debug("I am a plain debug statement, I will be sent to the driver logs.")
logger.info("I am a plain info statement, I will be sent to the driver logs.")

handler = AzureLogHandler(connection_string=os.environ["APPLICATIONINSIGHTS_CONNECTION_STRING"])
logger.addHandler(handler)

# Python logging with OpenCensus AzureLogHandler
logger.warning("I am an OpenCensus warning statement, find me in Application Insights!")
logger.error("I am an OpenCensus error statement with custom dimensions", {'step_id': run.id})
