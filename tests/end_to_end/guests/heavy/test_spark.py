"""Workers of Spark. `nox -s guests-heavy` installs it, because it takes longer than all other guests."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(find_spec("pyspark") is None, reason="it needs pyspark: `nox -s guests-heavy`"),
    pytest.mark.skipif(
        shutil.which("java") is None, reason="it needs Java: apt-get install default-jre-headless"
    ),
]
OURS = """
import logging
import amllog
log = amllog.get_logger(__name__)
def work(number):
    log.info("ours %d", number)
    logging.getLogger(__name__).info("theirs %d", number)
    return number
"""
# The first session of Spark is older than setup(), and its workers also run the later tasks.
SPARK = """
import logging
import amllog
import ours
from pyspark.sql import SparkSession
from pyspark.sql.functions import udf
from pyspark.sql.types import LongType

spark = (
    SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.memory", "512m")
    .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
)
spark.sparkContext.parallelize([0], 1).map(abs).collect()
log = amllog.setup(driver_level="CRITICAL", grace_seconds=300)
log.info("parent")

def with_logger_of_script(numbers):
    for number in numbers:
        log.info("ours %d", number)
        logging.getLogger("lib").info("theirs %d", number)
        yield number

def plain(number):
    logging.getLogger("lib").info("plain %d", number)

spark.sparkContext.parallelize([0], 1).mapPartitions(with_logger_of_script).collect()
spark.sparkContext.parallelize([1], 1).map(ours.work).collect()
spark.range(2, 3).select(udf(ours.work, LongType())("id")).collect()
spark.sparkContext.parallelize([3], 1).map(amllog.carry(plain)).collect()
"""


def test_partitions(child: Any, received: Any, connected: Any, tmp_path: Path) -> None:
    """Records of partitions and of a UDF arrive once, with the identity of the step, which has one request."""
    (tmp_path / "train.py").write_text(SPARK)
    (tmp_path / "ours.py").write_text(OURS)
    environ = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "REACHED_FILE": None}
    ran = child(tmp_path / "train.py", env={**connected, **environ}, flags=("-W", "ignore"))
    records = received()
    assert ran.returncode == 0, ran.stderr
    mine = [
        data
        for data in records.of_type("Message")
        if data["message"].split()[0] in ("ours", "theirs", "plain", "parent")
    ]
    expected = [f"{what} {number}" for what in ("ours", "theirs") for number in range(3)]
    assert sorted(data["message"] for data in mine) == sorted([*expected, "parent", "plain 3"])
    assert len({data["properties"]["step_id"] for data in mine}) == 1
    assert (records.duplicates, len(records.of_type("Request"))) == ([], 1)
