from coursekit.report import Outcome, Report

HELD = Outcome("It is finite.", True)
BROKEN = Outcome("It is <b>small</b>.", False, "It should be 1,\nbut it is 2.", ("mu = tensor(1.0)",), "seen & done")


def test_all_held():
    report = Report("kl", (HELD, HELD))
    assert report
    assert str(report) == "kl: all 2 checks hold\n  ✓ It is finite.\n  ✓ It is finite."


def test_the_first_failure_is_explained():
    report = Report("kl", (HELD, BROKEN))
    assert not report
    assert str(report).splitlines() == [
        "kl: 1 of 2 checks hold",
        "  ✓ It is finite.",
        "  ✗ It is <b>small</b>.",
        "",
        "  It should be 1,",
        "  but it is 2.",
        "",
        "  with",
        "    mu = tensor(1.0)",
        "",
        "  your code printed",
        "    seen & done",
    ]


def test_one_of_several_failures_is_named_again():
    assert str(Report("kl", (BROKEN, BROKEN))).count("✗ It is <b>small</b>.") == 3


def test_a_note_is_one_line():
    report = Report("kl", note="not written yet")
    assert str(report) == repr(report) == "kl: not written yet"
    assert not report


def test_a_single_check():
    assert Report("kl", (HELD,)).summary == "the check holds"
    assert Report("kl", (BROKEN,)).summary == "the check does not hold"


def test_no_checks_are_no_pass():
    assert not Report("kl")


def test_long_messages_stay_within_half_a_screen():
    long = Outcome("s", False, "\n".join(["m" * 1000] * 50), tuple(f"x{i} = 1" for i in range(50)), "p\n" * 500)
    text = str(Report("kl", (HELD, HELD, long)))
    assert len(text.splitlines()) <= 26
    assert max(map(len, text.splitlines())) <= 170
    assert "… 45 more lines" in text


def test_html_escapes_everything_that_a_student_can_write():
    evil = "<script>alert(1)</script>"
    report = Report(evil, (Outcome(evil, False, evil, (evil,), evil), Outcome(evil, False)))
    assert "<script" not in report._repr_html_()
    assert report._repr_html_().count("&lt;script&gt;") == 7
    assert "<script" not in Report(evil, note=evil)._repr_html_()


def test_html_says_what_the_text_says():
    page = Report("kl", (HELD, BROKEN))._repr_html_()
    for part in (
        "kl",
        "1 of 2 checks hold",
        "It is finite.",
        "It should be 1,\nbut it is 2.",
        "mu = tensor(1.0)",
        "seen &amp; done",
    ):
        assert part in page
    assert page.count("<div") == page.count("</div>")
