"""Azure ML's YAML files as planned pipelines, with findings that name file and line."""
