"""The private side of the course: release, sandbox, hidden properties, verdicts, gradebook, feedback."""
