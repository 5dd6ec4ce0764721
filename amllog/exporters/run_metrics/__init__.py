"""Run metrics: what is logged for a run, and called on it, goes to Azure ML's run history."""
