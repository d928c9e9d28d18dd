"""What properties are written with, the visible ones that students run and the hidden ones that grade.

A property is an ordinary pytest method of a class marked `@exercise(…)`; it calls `student.name(…)` on drawn inputs:

    @exercise("kl_divergence")
    class TestKLDivergence:
        @required
        @given(mu=tensors((3, 2)))
        def test_is_half_the_squared_mean_at_unit_variance(self, student, mu):
            \"\"\"With σ = 1 it is ½‖μ‖².\"\"\"
            assert_close(student.kl_divergence(mu, torch.zeros(3, 2)), mu.square().sum(1) / 2)
"""

from coursekit.properties.compare import (
    PropertyFailed,
    assert_between,
    assert_close,
    assert_depends,
    assert_finite,
    assert_independent,
    assert_shape,
    fail,
)
from coursekit.properties.contract import bind_sizes, conforms
from coursekit.properties.describe import describe
from coursekit.properties.marks import exercise, required, weight
from coursekit.properties.strategies import arguments, dimensions, generators, sizes, tensors

__all__ = [
    "PropertyFailed",
    "arguments",
    "assert_between",
    "assert_close",
    "assert_depends",
    "assert_finite",
    "assert_independent",
    "assert_shape",
    "bind_sizes",
    "conforms",
    "describe",
    "dimensions",
    "exercise",
    "fail",
    "generators",
    "required",
    "sizes",
    "tensors",
    "weight",
]
