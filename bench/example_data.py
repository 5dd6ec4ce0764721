"""What the pipeline files of Azure/azureml-examples need from outside: inputs, data, components and interpreters.

Nothing here skips or replaces a step. Data that the examples take from the web or from a workspace is a file of the
checkout, or small data of the same format that `make_data` writes.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

_NOTHING: Mapping[str, str] = MappingProxyType({})
_HEART = "cli/endpoints/batch/deploy-pipelines/"
_BASICS = "cli/jobs/pipelines-with-components/basics/"
_NESTED = "cli/jobs/pipelines-with-components/pipeline_with_pipeline_component/"
_TAXI = "nyc_taxi_data_regression_with_pipeline_component/"
_TAXI_SDK = f"sdk/python/jobs/pipelines/1j_pipeline_with_pipeline_component/{_TAXI}"
_IRIS = "REPO:cli/jobs/pipelines/add-column-and-word-count-using-spark/data/iris.csv"
_TITANIC = "REPO:cli/jobs/spark/data/titanic.csv"
_STORE = "azureml://datastores/workspaceblobstore/paths/"
_MODEL = "cli/monitoring/azureml-e2e-model-monitoring/configurations/training_pipeline.yaml"
_PETS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
_SHAKESPEARE = "cli/jobs/pipelines-with-components/shakespear_sample_and_word_count_using_spark/pipeline.yml"


class Supply(NamedTuple):
    """What one file needs. `environment` is a group of `--env`.

    A path begins with `./` or `../` (the folder of the file), `REPO:` (the checkout), `MADE:` (data that is made here)
    or `RUN:file:step:output` (an output of the run of another file). Other values are literals. `files` are put beside
    the file where the checkout lacks them. `components` and `files` need a copy of the folder of the file.
    """

    inputs: Mapping[str, str] = _NOTHING
    data: Mapping[str, str] = _NOTHING
    components: Mapping[str, str] = _NOTHING
    files: Mapping[str, str] = _NOTHING
    environment: str = ""


SUPPLIES: Mapping[str, Supply] = {
    f"{_HEART}training-with-components/deployment-onehot/pipeline.yml": Supply({"input_data": "../data/train"}),
    f"{_HEART}training-with-components/deployment-ordinal/pipeline.yml": Supply({"input_data": "../data/train"}),
    f"{_HEART}batch-scoring-with-preprocessing/pipeline.yml": Supply(
        {"input_data": "./data/unlabeled"},
        {"heart-classifier-transforms": "./transformations", "heart-classifier": "./model"},
        {"uci_heart_prepare": "components/prepare/prepare.yml"},
        environment="heart",
    ),
    f"{_NESTED}pipeline_with_train_eval_pipeline_component/components/train_pipeline_component.yml": Supply(
        {
            "training_data": "../data", "test_data": "../data", "training_max_epochs": "2",
            "training_learning_rate": "0.1", "train_node_compute": "local",
        }
    ),
    **{
        f"{folder}data_pipeline/data_pipeline.yml": Supply({"raw_data": "../data"})
        for folder in (f"{_NESTED}{_TAXI}", _TAXI_SDK)
    },
    **{
        f"{folder}train_pipeline/train_pipeline.yml": Supply(
            {
                "train_data": f"RUN:{folder}data_pipeline/data_pipeline.yml:transform_job:transformed_data",
                "compute_train_node": "local",
            }
        )
        for folder in (f"{_NESTED}{_TAXI}", _TAXI_SDK)
    },
    **{
        f"{_BASICS}1b_e2e_registered_components/pipeline{name}.yml": Supply(
            components={"my_train": "train.yml", "my_score": "score.yml", "my_eval": "eval.yml"}
        )
        for name in ("", "-serverless")
    },
    f"{_BASICS}4b_datastore_datapath_uri/pipeline.yml": Supply(data={f"{_STORE}azureml": "MADE:datastore"}),
    f"{_BASICS}4c_web_url_input/pipeline.yml": Supply(
        data={"https://dprepdata.blob.core.windows.net/demo/Titanic.csv": _TITANIC}
    ),
    f"{_BASICS}4d_data_input/pipeline.yml": Supply(data={"local-folder-example": "./data"}),
    f"{_BASICS}6c_r_iris/pipeline.yml": Supply(
        data={"https://azuremlexamples.blob.core.windows.net/datasets/iris.csv": _IRIS}
    ),
    "cli/jobs/pipelines-with-components/pipeline_with_hyperparameter_sweep/pipeline.yml": Supply(
        data={"wasbs://datasets@azuremlexamples.blob.core.windows.net/iris.csv": _IRIS}
    ),
    _MODEL: Supply(data={"credit-default-reference": "MADE:credit"}),
    "cli/jobs/pipelines/tensorflow-image-segmentation/pipeline.yml": Supply(
        data={f"{_PETS}{name}.tar.gz": f"MADE:{name}.tar.gz" for name in ("images", "annotations")},
        environment="tensorflow",
    ),
    **{
        f"cli/jobs/{name}/pipeline.yml": Supply(environment="tensorflow")
        for name in ("parallel/3a_mnist_batch_identification", "pipelines/mnist-batch-identification-using-parallel")
    },
    "cli/jobs/parallel/2a_iris_batch_prediction/pipeline.yml": Supply(environment="sklearn-0.20"),
    "cli/jobs/pipelines/iris-batch-prediction-using-parallel/pipeline.yml": Supply(environment="sklearn-0.23"),
    **{
        f"cli/jobs/spark/{kind}-spark-pipeline-{identity}-identity.yml": Supply(
            data={f"{_STORE}data/titanic.csv": _TITANIC}, environment="spark"
        )
        for kind in ("attached", "serverless")
        for identity in ("default", "managed", "user")
    },
    "cli/jobs/pipelines/add-column-and-word-count-using-spark/pipeline.yml": Supply(environment="spark"),
    _SHAKESPEARE: Supply(files={"data/shakespeare.txt": "MADE:text.txt"}, environment="spark"),
}  # fmt: skip

# What the message of the failed step does not say.
_WEB = "needs the web: a step downloads its data"
_FINETUNE = "cli/foundation-models/system/finetune/"
CAUSES: Mapping[str, str] = {
    **{  # their inputs have no values, which is reported first
        f"{_FINETUNE}{name}-pipeline.yaml": "a component of a registry"
        for name in (
            "image-instance-segmentation/mmdetection-fridgeobjects-instance-segmentation",
            "image-object-detection/mmdetection-fridgeobjects-detection",
            "video-multi-object-tracking/mmtracking-mot17tiny-mot",
        )
    },
    "cli/jobs/pipelines/cifar-10/pipeline.yml": _WEB,
    "cli/jobs/parallel/3a_mnist_batch_identification/pipeline.yml": _WEB,
    "cli/jobs/pipelines/mnist-batch-identification-using-parallel/pipeline.yml": _WEB,
    f"{_BASICS}6c_r_iris/pipeline.yml": "needs the web: its R packages are on CRAN only",
    "cli/jobs/pipelines-with-components/image_classification_with_densenet/pipeline.yml": (
        "a mistake in the file: center_crop is not in the enum of its component"
    ),
}


def copied(path: Path, supply: Supply, made: Path, copies: Path) -> Path:
    """Return the pipeline file, in a copy of its folder if it needs components or files beside it."""
    missing = {name: text for name, text in supply.files.items() if not (path.parent / name).exists()}
    if not supply.components and not missing:
        return path
    folder = copies / f"{len(list(copies.iterdir()))}"
    shutil.copytree(path.parent, folder)
    for name, text in missing.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / text.partition(":")[2], folder / name)
    lines = [f"  {name}: {component}" for name, component in supply.components.items()]
    if lines:
        (folder / "amllog.yml").write_text("\n".join(["components:", *lines, ""]), encoding="utf-8")
    return folder / path.name


def located(text: str, folder: Path, root: Path, made: Path) -> str:
    """Return the path that a text of a Supply names, or the text if it is a literal."""
    prefix, _, rest = text.partition(":")
    if prefix in {"REPO", "MADE"}:
        return str((root if prefix == "REPO" else made) / rest)
    return os.path.normpath(folder / text) if text.startswith(("./", "../")) else text


def make_data(folder: Path, root: Path) -> None:
    """Write the data that the checkout does not have."""
    store = folder / "datastore" / "4b_datastore_datapath_uri"
    store.mkdir(parents=True)
    (store / "hello-world.txt").write_text("hello world\n", encoding="utf-8")
    (folder / "text.txt").write_text("to be or not to be that is the question\n" * 2000, encoding="utf-8")
    _make_credit(folder / "credit")
    images = sorted(root.glob("cli/endpoints/online/managed/binary-payloads/*.jpg"))
    photo = images[0].read_bytes() if images else b""
    names = [f"Abyssinian_{number}" for number in range(8)]
    _pack(folder / "images.tar.gz", {f"images/{name}.jpg": photo for name in names})
    mask = _mask(160)
    _pack(folder / "annotations.tar.gz", {f"annotations/trimaps/{name}.png": mask for name in names})


def _make_credit(folder: Path) -> None:
    """Write a table with the columns of the credit data of the model monitoring example."""
    months = [number for number in range(7) if number != 1]
    columns = ["SEX", "EDUCATION", "MARRIAGE", *(f"PAY_{n}" for n in months), "LIMIT_BAL", "AGE"]
    columns += [f"{kind}{n}" for kind in ("BILL_AMT", "PAY_AMT") for n in range(1, 7)]
    numbers = random.Random(7)
    rows = [[numbers.randrange(1, 4) for _ in columns] for _ in range(300)]
    lines = [",".join([*columns, "DEFAULT_NEXT_MONTH"])]
    lines += [",".join(map(str, [*row, int(row[3] > 1)])) for row in rows]
    folder.mkdir()
    (folder / "credit.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / "MLTable").write_text(
        "paths:\n- file: ./credit.csv\ntransformations:\n- read_delimited:\n    delimiter: ','\n",
        encoding="utf-8",
    )


def _pack(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _mask(size: int) -> bytes:
    """Return a gray PNG whose pixels are 1, 2 or 3."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    rows = b"".join(b"\0" + bytes(1 + (x // 10 + y // 10) % 3 for x in range(size)) for y in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content
