"""Cases are data. One of them is a `conftest.py` that would end pytest as if all were well."""

collect_ignore = ["archive", "grading", "worker"]
