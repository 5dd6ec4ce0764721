"""The exporters for the outlet `run_metrics`: metrics and calls for Azure ML's run history, or for MLflow."""
