"""The pipelines: the stages that a core or a capture passes through, in order."""
