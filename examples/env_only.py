"""A script without logging settings: setup() reads all of them from the environment.

AMLLOG_LEVEL=DEBUG AMLLOG_RUN_TYPE=scoring AMLLOG_DIMENSIONS=team=vision,owner=me python env_only.py
"""

import logging
import warnings

import amllog

amllog.setup()

logger = logging.getLogger("features")
logger.debug("recorded with AMLLOG_LEVEL=DEBUG")
logger.info("rows read: %d", 1797, extra={"source": "digits"})
warnings.warn("three pixels are the same in every image", stacklevel=1)
print(amllog.identity().step_id, "is", amllog.identity().step_name)
