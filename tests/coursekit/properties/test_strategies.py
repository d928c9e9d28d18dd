from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor, nn

from coursekit.properties import arguments, bind_sizes, conforms, dimensions, generators, sizes, tensors

few = settings(max_examples=20, database=None, derandomize=True)


def drawn(strategy, count=20):
    """Some of what a strategy draws."""
    values = []

    @few
    @given(value=strategy)
    def collect(value):
        values.append(value)

    collect()
    return values[:count]


class TestTensors:
    @given(x=tensors((3, 2)))
    @few
    def test_values_are_eighths_within_the_range(self, x):
        assert x.shape == (3, 2)
        assert x.dtype == torch.float32
        assert x.min() >= -3
        assert x.max() <= 3
        assert torch.equal(x * 8, (x * 8).round())

    @given(x=tensors(st.tuples(sizes(), sizes()), dtype=torch.float64, low=0, high=1, requires_grad=True))
    @few
    def test_shape_may_be_drawn(self, x):
        assert x.ndim == 2
        assert x.dtype == torch.float64
        assert x.requires_grad

    def test_one_size_is_a_vector(self):
        assert all(x.shape == (4,) for x in drawn(tensors(4)))

    def test_both_ends_are_reached(self):
        x = torch.cat(drawn(tensors(50, low=0, high=1)))
        assert x.min() == 0
        assert x.max() == 1

    def test_a_narrow_range_has_a_finer_grid(self):
        x = torch.cat(drawn(tensors(50, low=0.25, high=0.5)))
        assert x.min() >= 0.25
        assert x.max() <= 0.5
        assert x.unique().numel() >= 8

    def test_a_range_of_one_value(self):
        assert all(torch.equal(x, torch.full((2,), 0.3)) for x in drawn(tensors(2, low=0.3, high=0.3)))

    def test_integers(self):
        x = torch.cat(drawn(tensors(50, dtype=torch.int64, low=-1, high=2)))
        assert x.unique().tolist() == [-1, 0, 1, 2]

    def test_booleans(self):
        x = torch.cat(drawn(tensors(50, dtype=torch.bool)))
        assert x.unique().tolist() == [False, True]

    def test_complex_parts_differ(self):
        x = torch.cat(drawn(tensors(50, dtype=torch.complex64)))
        assert x.dtype == torch.complex64
        assert not torch.equal(x.real, x.imag)

    @pytest.mark.parametrize("low", [-3, 0.5])
    def test_shrinks_to_zeros_as_far_as_the_range_allows(self, low):
        x = find(tensors((2, 2), low=low), lambda x: True, settings=few)
        assert torch.equal(x, torch.full((2, 2), max(low, 0.0)))

    def test_shrinks_next_to_ones(self):
        x = find(tensors((2, 2)), lambda x: bool((x > 0).any()), settings=few)
        assert torch.equal(x, torch.ones(2, 2))

    @pytest.mark.parametrize(("low", "high"), [(1, 0), (0, float("inf")), (float("nan"), 1)])
    def test_an_impossible_range_is_refused(self, low, high):
        with pytest.raises(ValueError, match="no range"):
            tensors(2, low=low, high=high)

    def test_a_range_without_integers_is_refused(self):
        with pytest.raises(ValueError, match="no integer"):
            tensors(2, dtype=torch.int64, low=0.25, high=0.75)


class TestDimensions:
    def test_every_name_gets_a_size(self):
        for found in drawn(dimensions("batch latent", high=3)):
            assert list(found) == ["batch", "latent"]
            assert all(1 <= size <= 3 for size in found.values())

    def test_a_size_may_be_given(self):
        for found in drawn(dimensions("batch latent", batch=7, latent=sizes(2, 2))):
            assert found == {"batch": 7, "latent": 2}

    def test_shrinks_to_sizes_that_can_be_told_apart(self):
        found = find(dimensions("batch latent data"), lambda sizes: True, settings=few)
        assert found == {"batch": 3, "latent": 4, "data": 5}

    def test_sizes_are_all_drawn(self):
        assert set(drawn(sizes(), 100)) == {1, 2, 3, 4, 5}

    @pytest.mark.parametrize(("low", "high", "simplest"), [(1, 2, 2), (1, 1, 1), (0, 1, 1), (4, 9, 4), (0, 0, 0)])
    def test_any_range_has_a_simplest_size(self, low, high, simplest):
        assert find(sizes(low, high), lambda size: True, settings=few) == simplest

    def test_an_empty_range_is_refused(self):
        with pytest.raises(ValueError, match="no range"):
            sizes(3, 2)

    def test_a_stray_name_is_refused(self):
        with pytest.raises(TypeError, match="'heads'"):
            dimensions("batch", heads=2)


def test_generators_are_seeded():
    first, again = (find(generators(), lambda g: g.initial_seed() == 0, settings=few) for _ in range(2))
    assert torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=again))


class TestArguments:
    def test_one_name_is_one_size(self):
        def f(mu: Float[Tensor, "batch latent"], tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch"]: ...

        for (mu, tokens), kwargs in drawn(arguments(f)):
            assert mu.shape[0] == tokens.shape[0]
            assert (mu.dtype, tokens.dtype) == (torch.float32, torch.int64)
            assert kwargs == {}

    def test_sums_several_dimensions_and_fixed_ones(self):
        def f(
            x: Float64[Tensor, "*data n+1"],
            y: Bool[Tensor, "n 3 _ side=2"],
            z: Float[np.ndarray, "... n-1"],
            w: Float[Tensor, "*data"],
            s: Float[Tensor, ""],
        ) -> None: ...

        for (x, y, z, w, s), _ in drawn(arguments(f)):
            n = y.shape[0]
            assert x.dtype == torch.float64
            assert x.shape == (*w.shape, n + 1)
            assert y.dtype == torch.bool
            assert y.shape[1::2] == (3, 2)
            assert isinstance(z, np.ndarray)
            assert z.shape[-1] == n - 1 > 0
            assert s.shape == ()

    def test_plain_types(self):
        def f(n: int, rate: float, flag: bool, generator: torch.Generator, kind: Literal["a", "b"], maybe: int | None,
              pair: tuple[int, float], many: list[Float[Tensor, "batch"]]) -> None: ...  # fmt: skip

        for (n, rate, flag, generator, kind, maybe, pair, many), _ in drawn(arguments(f)):
            assert type(n) is int
            assert 0 < rate < 1
            assert type(flag) is bool
            assert isinstance(generator, torch.Generator)
            assert kind in ("a", "b")
            assert maybe is None or type(maybe) is int
            assert tuple(map(type, pair)) == (int, float)
            assert len({x.shape for x in many}) == 1

    def test_annotations_may_be_strings(self):
        def f(n: "int", x: "Float[Tensor, 'batch']") -> "int": ...

        assert all(isinstance(x, Tensor) for (_, x), _ in drawn(arguments(f), 2))

    def test_defaults_are_left_alone_and_keywords_given_by_name(self):
        def f(n: int, beta: float = 1.0, *rest: int, padding: int, kl: Callable = max, **more: int) -> None: ...

        for args, kwargs in drawn(arguments(f)):
            assert len(args) == 1
            assert list(kwargs) == ["padding"]

    def test_after_a_default_arguments_go_by_name(self):
        def f(n: int, beta: float = 1.0, steps: int = 3) -> None: ...

        assert all(kwargs == {"steps": 9} for _, kwargs in drawn(arguments(f, steps=9), 3))

    def test_a_class_is_called_with_its_constructors_arguments(self):
        class Net(nn.Module):
            def __init__(self, data_dim: int, hidden_dim: int) -> None: ...

        assert all(len(args) == 2 for args, _ in drawn(arguments(Net), 3))

    def test_overrides_may_be_strategies_values_or_depend_on_the_sizes(self):
        def f(
            tokens: Int[Tensor, "batch length"], logits: Float[Tensor, "batch length vocab"], kl: Callable
        ) -> None: ...

        def below_vocabulary(bound):
            return tensors((bound["batch"], 2), dtype=torch.int64, low=0, high=bound["vocab"] - 1)

        for (tokens, logits, kl), _ in drawn(arguments(f, tokens=below_vocabulary, vocab=sizes(2, 4), kl=st.just(max))):
            assert tokens.shape[0] == logits.shape[0]
            assert int(tokens.max()) < logits.shape[2]
            assert kl is max

    def test_an_int_called_like_a_dimension_is_its_size(self):
        def f(grid: Float[Tensor, "steps latent"], steps: int) -> None: ...

        assert all(grid.shape[0] == steps for (grid, steps), _ in drawn(arguments(f)))

    def test_what_cannot_be_drawn_is_named(self):
        def f(x: int, encoder: Callable[[Tensor], Tensor]) -> None: ...

        with pytest.raises(TypeError, match="f: the parameter 'encoder' cannot be drawn"):
            arguments(f)

    def test_what_is_not_annotated_is_named(self):
        def f(x): ...

        with pytest.raises(TypeError, match="'x'"):
            arguments(f)

    def test_a_stray_override_is_named(self):
        def f(x: int) -> None: ...

        with pytest.raises(TypeError, match="no parameter or dimension 'y'"):
            arguments(f, y=3)

    def test_what_is_drawn_keeps_the_signature(self):
        def f(x: Float[Tensor, "*data n+1"], y: Float[Tensor, "n"], k: int) -> Float[Tensor, "n"]: ...

        for args, kwargs in drawn(arguments(f)):
            bound = bind_sizes(f, args, kwargs)
            assert conforms(args[1], Float[Tensor, "n"], bound) is None
            assert conforms(args[0], Float[Tensor, "*data n+1"], bound) is None
