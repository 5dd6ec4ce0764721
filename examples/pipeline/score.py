"""Step 3: recognize the digits in every batch."""

import argparse
from pathlib import Path

import joblib
import numpy as np

import amllog


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--batches", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    args = parser.parse_args()

    log = amllog.setup(run_type="scoring")
    args.scores.mkdir(parents=True, exist_ok=True)

    with log.span("load model"):
        model = joblib.load(args.model / "model.joblib")
    files = sorted(args.batches.glob("*.csv"))
    log.info("batches to score", batches=len(files))

    scored = 0
    for number, file in enumerate(log.progress(files, "scoring"), 1):
        with amllog.bound(file=file.name), log.span("score batch"):
            images = np.loadtxt(file, delimiter=",")
            probabilities = model.predict_proba(images)
            np.savetxt(args.scores / file.name, probabilities.argmax(axis=1), fmt="%d")
            scored += len(images)
            log.metrics({"scored": scored, "confidence": probabilities.max(axis=1).mean()}, step=number)
    log.info("scored", images=scored)


if __name__ == "__main__":
    main()
