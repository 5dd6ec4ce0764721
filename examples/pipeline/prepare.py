"""Step 1: prepare handwritten digits as training data and as batches of images to score."""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import amllog


def brightened(images):
    """Scale each image so that its brightest pixel is 1."""
    return images / images.max(axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--training_data", type=Path, required=True)
    parser.add_argument("--batches", type=Path, required=True)
    parser.add_argument("--batch_size", type=int, default=100)
    args = parser.parse_args()

    log = amllog.setup(run_type="preparation")
    args.training_data.mkdir(parents=True, exist_ok=True)
    args.batches.mkdir(parents=True, exist_ok=True)

    with log.span("load digits"):
        images, digits = load_digits(return_X_y=True)
    log.info("loaded", images=len(images), pixels=images.shape[1])

    constant = np.flatnonzero(images.std(axis=0) == 0)
    if constant.size:
        log.warning("pixels that are the same in every image", pixels=constant.tolist())

    known, new, known_digits, _ = train_test_split(
        images, digits, test_size=0.3, random_state=0, stratify=digits
    )
    np.savez(args.training_data / "digits.npz", images=brightened(known), digits=known_digits)
    log.metric("training_images", len(known))

    with log.span("write batches", batch_size=args.batch_size):
        for number, start in enumerate(range(0, len(new), args.batch_size), 1):
            batch = new[start : start + args.batch_size]
            missing = args.batch_size - len(batch)
            batch = np.pad(batch, ((0, missing), (0, 0)))  # all batches have the same size
            np.savetxt(args.batches / f"batch_{number}.csv", brightened(batch), fmt="%.4f", delimiter=",")
    log.info("wrote batches", batches=number, images=len(new))
    log.metric("batches", number)


if __name__ == "__main__":
    main()
