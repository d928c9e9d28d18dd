"""The class page: what a class misunderstood, for its teachers, in one file that leads from every figure to its students."""
