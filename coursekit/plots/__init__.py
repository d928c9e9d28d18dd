"""The pictures of the hands-on cells, all in one quiet style; see `style`."""

from coursekit.plots.images import explore, one_at_a_time, strips
from coursekit.plots.lines import contours, curves, fields, histogram, matrices
from coursekit.plots.points import clouds, plane, regions, scatter
from coursekit.plots.schemes import adversaries, autoencoder, grid_world, perceptron
from coursekit.plots.style import Picture

__all__ = [
    "Picture",
    "adversaries",
    "autoencoder",
    "clouds",
    "contours",
    "curves",
    "explore",
    "fields",
    "grid_world",
    "histogram",
    "matrices",
    "one_at_a_time",
    "perceptron",
    "plane",
    "regions",
    "scatter",
    "strips",
]
