import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.properties import exercise, required, weight


def test_exercise_names_the_class():
    @exercise("kl_divergence")
    class TestKL:
        pass

    assert TestKL.exercise == "kl_divergence"
    assert TestKL.contract is None


@pytest.mark.parametrize("contract", [False, st.just(((), {}))])
def test_exercise_keeps_its_contract(contract):
    assert exercise("f", contract=contract)(type("TestF", (), {})).contract is contract


def test_a_class_that_pytest_would_pass_over_is_refused():
    with pytest.raises(TypeError, match="begins with Test"):
        exercise("f")(type("PropertiesOfF", (), {}))


@pytest.mark.parametrize("name", ["", "two words", None, type("TestF", (), {})])
def test_a_name_that_no_student_could_define_is_refused(name):
    with pytest.raises(TypeError, match="name of a function or class"):
        exercise(name)


def test_a_contract_that_is_no_strategy_is_refused():
    with pytest.raises(TypeError, match="contract"):
        exercise("f", contract=True)


def test_marks_work_below_given():
    @given(n=st.integers())
    @settings(max_examples=1)
    @required
    @weight(2)
    def test_something(n):
        pass

    assert test_something.required is True
    assert test_something.weight == 2


def test_marks_work_above_given():
    @weight(0.5)
    @required
    @given(n=st.integers())
    def test_something(n):
        pass

    assert test_something.required is True
    assert test_something.weight == 0.5


def test_a_property_counts_once_unless_it_says_so():
    def test_something():
        pass

    assert not hasattr(test_something, "weight")
    assert not hasattr(test_something, "required")


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), True, "2", lambda: None])
def test_a_weight_is_a_positive_number(value):
    with pytest.raises(TypeError, match="positive number"):
        weight(value)
