"""The private side of the course: release, sandbox, hidden properties, verdicts, gradebook, feedback."""

# Read by the numerical libraries when they load. Every grading process computes with one thread: many of them share the
# machine, and a process that has computed with several cannot be forked.
SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
