"""Step 2: train a small neural network, epoch by epoch."""

import argparse
from pathlib import Path

import joblib
import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import amllog


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--training_data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()

    log = amllog.setup(run_type="training")
    args.model.mkdir(parents=True, exist_ok=True)

    with log.span("read data"):
        data = np.load(args.training_data / "digits.npz")
    images, held_out, digits, truth = train_test_split(
        data["images"], data["digits"], test_size=0.2, random_state=0, stratify=data["digits"]
    )
    log.info("data", training=len(images), held_out=len(held_out))

    classes = np.unique(digits)
    model = MLPClassifier(hidden_layer_sizes=(64,), learning_rate_init=0.005, random_state=0)
    order = np.random.default_rng(0)
    for epoch in range(1, args.epochs + 1):
        with amllog.bound(epoch=epoch), log.span("epoch"):
            shuffled = order.permutation(len(images))
            for part in np.array_split(shuffled, 20):
                model.partial_fit(images[part], digits[part], classes=classes)
            loss = log_loss(truth, model.predict_proba(held_out), labels=classes)
            accuracy = accuracy_score(truth, model.predict(held_out))
            log.metrics({"loss": loss, "accuracy": accuracy}, step=epoch)
            log.info("epoch done", loss=round(loss, 4), accuracy=round(accuracy, 4))

    predicted = model.predict(held_out)
    precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, labels=classes)
    per_digit = {"digit": classes, "precision": precision, "recall": recall, "f1": f1}
    log.run.log_table("per digit", {name: column.tolist() for name, column in per_digit.items()})
    log.run.log_confusion_matrix(
        "confusion matrix",
        {
            "schema_type": "confusion_matrix",
            "schema_version": "1.0.0",
            "data": {
                "class_labels": [str(digit) for digit in classes],
                "matrix": confusion_matrix(truth, predicted, labels=classes).tolist(),
            },
        },
    )
    joblib.dump(model, args.model / "model.joblib")
    log.run.upload_file("outputs/model.joblib", str(args.model / "model.joblib"))
    log.run.tag("accuracy", round(accuracy, 4))
    log.event("model saved", accuracy=round(accuracy, 4))


if __name__ == "__main__":
    main()
