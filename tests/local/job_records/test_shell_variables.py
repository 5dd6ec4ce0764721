"""The variables of the shell that steps get."""

from __future__ import annotations

from amllog.local.job_records.shell_variables import without_other_runs


def test_variables_of_other_runs_are_left_out() -> None:
    """The variables of another job, tracer, MLflow run or distribution are removed, and settings stay."""
    others = (
        "AZUREML_RUN_ID", "AZURE_ML_INPUT_data", "AZ_BATCHAI_TASK_INDEX", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI",
        "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_NAME", "RANK", "WORLD_SIZE", "TF_CONFIG", "OMPI_COMM_WORLD_RANK",
        "APPLICATIONINSIGHTS_CONNECTION_STRING", "APPINSIGHTS_INSTRUMENTATIONKEY", "AML_APP_INSIGHTS_KEY",
        "TRACEPARENT", "traceparent", "AMLLOG_CHILD", "AMLLOG_WORKERS", "AMLLOG_STEP_PROCESS", "AMLLOG_LOCAL_RUN",
        "AMLLOG_STEP_NAME",
    )  # fmt: skip
    kept = (
        "PATH",
        "HOME",
        "AMLLOG_LEVEL",
        "MLFLOW_DISABLE_TELEMETRY",
        "AZURE_CONFIG_DIR",
        "MY_RANK",
        "AML_TEAM",
    )
    environ = dict.fromkeys((*others, *kept), "x")
    assert set(without_other_runs(environ)) == set(kept)
