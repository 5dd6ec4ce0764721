"""A scoring script for Azure ML endpoints, which call init() once per worker and run() for each request."""

import json
import os
from pathlib import Path

import joblib
import numpy as np

import amllog

log = amllog.get_logger(__name__)


def init():
    global model
    service = os.environ.get("SERVICE_NAME", "digits")
    amllog.setup(run_type="scoring", step_name=service, experiment_name="endpoints")
    path = Path(os.environ["AZUREML_MODEL_DIR"]) / "model.joblib"
    with log.span("load model", file=path.name):
        model = joblib.load(path)
    log.info("ready")


def run(raw_data):
    try:
        images = np.array(json.loads(raw_data)["images"], dtype=float)
        with log.span("score", images=len(images)):
            probabilities = model.predict_proba(images)
    except Exception as error:
        log.exception("cannot score this request", size=len(raw_data))
        return {"error": f"{type(error).__name__}: {error}"}
    confidence = probabilities.max(axis=1)
    log.info("scored", images=len(images), least_confidence=round(confidence.min(), 3))
    log.metric("confidence", confidence.mean())
    return {"digits": probabilities.argmax(axis=1).tolist()}


if __name__ == "__main__":  # to try it without an endpoint
    import tempfile

    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    images, digits = load_digits(return_X_y=True)
    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(LogisticRegression(max_iter=500).fit(images / 16, digits), Path(folder, "model.joblib"))
        os.environ["AZUREML_MODEL_DIR"] = folder
        init()
    print(run(json.dumps({"images": (images[:3] / 16).tolist()})))
    print(run('{"images": "none"}'))
