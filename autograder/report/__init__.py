"""What people read after grading: a page for each student."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
