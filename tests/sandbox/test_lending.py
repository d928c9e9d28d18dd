"""Handles: the same thing keeps its number while the other end refers to it, and is forgotten afterwards."""

from __future__ import annotations

from autograder.sandbox.lending import MAX_RETURNED, Leases, Lending


def test_a_thing_keeps_its_number_until_it_is_forgotten() -> None:
    lending, thing = Lending(), object()
    number = lending.lend(thing)
    assert lending.lend(thing) == number
    assert lending.things[number] is thing
    lending.forget(number)
    assert not lending.things
    assert lending.lend(thing) != number


def test_to_forget_what_was_not_lent_is_nothing() -> None:
    Lending().forget(99)


def test_a_number_goes_back_when_its_last_holder_is_gone() -> None:
    leases = Leases()
    one, two = leases.of(7), leases.of(7)
    del one
    assert leases.give_back() == []
    del two
    assert leases.give_back() == [7]
    assert leases.give_back() == []


def test_a_number_that_comes_again_in_time_does_not_go_back() -> None:
    leases = Leases()
    leases.of(7)  # given up at once
    held = leases.of(7)
    assert leases.give_back() == []
    del held
    assert leases.give_back() == [7]


def test_many_numbers_go_back_with_several_messages() -> None:
    leases = Leases()
    for number in range(MAX_RETURNED + 1):
        leases.of(number)
    assert sorted(leases.give_back() + leases.give_back()) == list(range(MAX_RETURNED + 1))
