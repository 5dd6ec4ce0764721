"""The services of one local run."""
