"""The one small package that notebooks import: `check` runs the visible properties, `submit` packs the notebook."""

from coursekit.check import check

__version__ = "0.1.0"
__all__ = ["check"]
