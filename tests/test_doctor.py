"""The doctor: what it says of this machine, and of machines that lack something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from autograder import doctor
from autograder.doctor import Finding, diagnose
from autograder.sandbox import SandboxError
from autograder.sandbox import session as session_module
from autograder.sandbox.session import TIERS, unavailable


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    """What it finds here."""
    return {finding.what: finding for finding in diagnose()}


def test_each_tier_works_or_there_is_a_reason_and_a_remedy(findings: dict[str, Finding]) -> None:
    for tier in TIERS[:2]:
        finding, reason = findings[f"{tier} tier"], unavailable(tier)
        if reason is None:
            assert finding.status == "ok"
            assert not finding.mend
        else:
            assert reason in finding.detail
            assert finding.mend


def test_the_best_tier_that_works_is_the_isolation(findings: dict[str, Finding]) -> None:
    best = next((tier for tier in TIERS[:2] if findings[f"{tier} tier"].status == "ok"), "none")
    assert findings["isolation"].detail.startswith(best)


def test_everything_has_been_looked_at(findings: dict[str, Finding]) -> None:
    looked_at = "Landlock, seccomp, user namespaces, cores, memory, disk, GPU, Python, torch, nbgrader, browser, ray"
    assert set(looked_at.split(", ")) <= set(findings)
    assert all(finding.detail for finding in findings.values())


def test_whoever_is_told_of_a_fault_is_told_what_to_do(findings: dict[str, Finding]) -> None:
    assert all(finding.mend for finding in findings.values() if finding.status != "ok")


def found(generator: Callable[[], Any]) -> dict[str, Finding]:
    return {finding.what: finding for finding in generator()}


@pytest.fixture
def unavailable_tiers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], None]:
    """Makes a machine on which tiers do not work."""
    real = session_module.unavailable

    def use(tiers: Sequence[str]) -> None:
        monkeypatch.setattr(session_module, "unavailable", lambda tier: "it is broken" if tier in tiers else real(tier))

    return use


def test_without_any_tier_submissions_are_refused(unavailable_tiers: Callable[[Sequence[str]], None]) -> None:
    unavailable_tiers(["bubblewrap", "landlock"])
    findings = found(doctor.isolation)
    assert findings["isolation"].status == "bad"
    assert findings["bubblewrap tier"] == Finding(
        "bubblewrap tier", "warn", "does not work here: it is broken", doctor.MENDING["bubblewrap"]
    )


def test_a_tier_whose_locks_do_not_hold_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", lambda worker: ["open a network socket"])
    tier = next(tier for tier in TIERS[:2] if unavailable(tier) is None)
    finding = doctor.try_tier(tier)
    assert finding.status == "bad"
    assert "open a network socket" in finding.detail


def test_a_tier_without_a_memory_limit_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "memory_is_limited", lambda sandbox: False)
    tier = next(tier for tier in TIERS[:2] if unavailable(tier) is None)
    assert doctor.try_tier(tier).status == "bad"


def test_without_locks_there_is_no_memory_limit_either() -> None:
    """The probe of it would notice."""
    with doctor.Sandbox("none") as sandbox:
        assert not doctor.memory_is_limited(sandbox)


def test_an_old_kernel_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "landlock_version", lambda: 2)
    monkeypatch.setattr(doctor, "read", lambda path: "")
    findings = found(doctor.kernel)
    assert "truncation, TCP, devices, signals are left to" in findings["Landlock"].detail
    assert findings["seccomp"].status == "bad"
    monkeypatch.setattr(doctor, "landlock_version", lambda: 0)
    assert found(doctor.kernel)["Landlock"].status == "bad"


@pytest.mark.parametrize(("user", "status"), [(0, "ok"), (1000, "warn")])
def test_forbidden_user_namespaces_matter_to_users(monkeypatch: pytest.MonkeyPatch, user: int, status: str) -> None:
    monkeypatch.setattr(doctor, "read", lambda path: "0")
    monkeypatch.setattr(doctor.os, "geteuid", lambda: user)
    assert doctor.user_namespaces().status == status


def test_missing_software_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda name: None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    findings = found(doctor.software)
    assert findings["torch"].mend == "Run `make setup`."
    assert findings["browser"].status == "warn"
    assert findings["ray"].status == "ok"


def test_little_memory_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "read", lambda path: "MemAvailable: 1000 kB")
    assert found(doctor.machine)["memory"].status == "warn"


def test_a_sandbox_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tier: str) -> None:
        raise SandboxError("the fork server does not answer")

    monkeypatch.setattr(doctor, "Sandbox", fail)
    assert doctor.try_tier("landlock").detail == "does not work here: the fork server does not answer"
