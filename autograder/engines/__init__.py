"""Where verdicts are computed."""
