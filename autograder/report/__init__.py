"""What people read after grading: a page for each student, and one for their teachers."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
