"""The ledger of memory."""

import torch

from coursekit.memory import Ledger

KILO = 1024


def kilobyte():
    return torch.ones(KILO // 4)


def test_tensors_count_while_they_are_alive():
    with Ledger() as ledger:
        a = kilobyte()
        b = a + 1
        del b
        c = a * 2
    assert ledger.peak == 2 * KILO
    assert ledger.history == [KILO, 2 * KILO, 2 * KILO]
    assert torch.equal(c, 2 * a)


def test_views_and_changes_in_place_take_no_memory():
    with Ledger() as ledger:
        a = kilobyte()
        a.view(2, -1).T.add_(1)
    assert ledger.peak == KILO


def test_what_was_there_before_does_not_count():
    a = kilobyte()
    with Ledger() as ledger:
        a.mul_(2)
        a[:3].sum()
    assert ledger.peak == 4


def test_what_autograd_remembers_counts():
    x = kilobyte().requires_grad_()
    with Ledger() as ledger:
        y = x.exp().exp().exp().sum()
        (gradient,) = torch.autograd.grad(y, x)
    assert ledger.peak >= 4 * KILO
    del y
    assert gradient.shape == x.shape


def test_nothing_is_nothing():
    with Ledger() as ledger:
        pass
    assert ledger.peak == 0
    assert ledger.history == []
