"""nbgrader's settings for this course: stock commands and the formgrader grade as `course grade` does.

They follow from `course.toml`. What is set below them here wins, for instance another database or exchange:

    c.CourseDirectory.db_url = "postgresql+psycopg://teacher@db.example.org/grades"
    c.Exchange.root = "/srv/nbgrader/exchange"
"""

from pathlib import Path

from autograder.course import Course
from autograder.gradebook.settings import settings

c = get_config()  # nbgrader defines it
c.merge(settings(Course.load(Path(__file__).parent)))
