"""The pictures of the hands-on cells, all in one quiet style; see `style`."""

from coursekit.plots.advanced import dots, queue
from coursekit.plots.audio import alignments, piano_roll, spectrograms, three_ways
from coursekit.plots.images import explore, one_at_a_time, strips
from coursekit.plots.lines import contours, curves, fields, histogram, matrices
from coursekit.plots.points import clouds, plane, regions, scatter
from coursekit.plots.schemes import adversaries, autoencoder, grid_world, perceptron
from coursekit.plots.style import Picture
from coursekit.plots.video import film, flows, text_to_video

__all__ = [
    "Picture",
    "adversaries",
    "alignments",
    "autoencoder",
    "clouds",
    "contours",
    "curves",
    "dots",
    "explore",
    "fields",
    "film",
    "flows",
    "grid_world",
    "histogram",
    "matrices",
    "one_at_a_time",
    "perceptron",
    "piano_roll",
    "plane",
    "queue",
    "regions",
    "scatter",
    "spectrograms",
    "strips",
    "text_to_video",
    "three_ways",
]
