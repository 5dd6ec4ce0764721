"""A step with amllog's own logger: dimensions as keywords, metrics, a span, a handled error."""

import argparse
import math
from pathlib import Path

import amllog

log = amllog.get_logger(__name__)  # works before setup(), so modules can create it when they are imported


def train(epochs, rate):
    loss = 1.0
    for epoch in range(1, epochs + 1):
        with amllog.bound(epoch=epoch):  # on every record of this block
            loss *= math.exp(-rate)
            log.metric("loss", loss, step=epoch)
            log.info("epoch done", loss=round(loss, 4))
    return loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0.5)
    args = parser.parse_args()

    amllog.setup(run_type="training", dimensions={"team": "vision"})
    log.info("started", epochs=args.epochs, rate=args.rate)

    with log.span("train", epochs=args.epochs):
        loss = train(args.epochs, args.rate)

    try:
        labels = Path("labels.csv").read_text()
        log.info("labels", size=len(labels))
    except FileNotFoundError:
        log.exception("no labels, continuing without")  # a row of `exceptions` with message, type and stack

    log.run.tag("final_loss", round(loss, 4))
    log.event("trained", loss=round(loss, 4))


if __name__ == "__main__":
    main()
