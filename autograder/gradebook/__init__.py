"""nbgrader's side of the course: what students hand in, the gradebook, and the stock commands' settings."""
