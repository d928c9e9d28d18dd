"""The capstone: what makes a work and a card sound, the demo's page, templates, and the check of a folder."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from autograder.course import Course
from autograder.release import build_notebook
from coursekit.__main__ import main
from coursekit.capstone import (
    OPTIONS,
    PAGE_HEADERS,
    SECTIONS,
    fault_of_work,
    faults_of_card,
    from_json,
    kind_of,
    load_template,
    page,
    random_state,
    read_card,
    same_work,
    show,
    to_json,
)
from coursekit.capstone.folder import Finding, check_folder, start
from coursekit.errors import CoursekitError, UsageError
from coursekit.serving import serve

ASSIGNMENT = Course.load(Path(__file__).parents[2]).assignment("capstone")
NOTE = (0.0, 0.5, 60, 90)
WORKS = {
    "text": "<b>so</b>",
    "music": [NOTE, (0.5, 1.0, 64, 1)],
    "image": torch.linspace(0, 1, 3 * 8 * 9).view(3, 8, 9),
}


# ---- works


@pytest.mark.parametrize("kind", WORKS)
def test_sound_works(kind):
    assert kind_of(WORKS[kind]) == kind
    assert fault_of_work(WORKS[kind]) is None
    assert same_work(WORKS[kind], from_json(json.loads(json.dumps(to_json(WORKS[kind]))))) is (kind != "image")


def test_an_image_travels_in_steps_of_1_255():
    torch.testing.assert_close(from_json(to_json(WORKS["image"])), WORKS["image"], atol=0.5 / 255 + 1e-6, rtol=0)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (None, "NoneType"),
        (7, "int"),
        ("", "white space"),
        (" \n", "white space"),
        ("x" * 10_001, "10001"),
        ([], "has 0"),
        ([NOTE] * 2001, "2001"),
        ([list(NOTE)], "number 0"),
        ([(0.0, 0.5, 60)], "number 0"),
        ([(0, 1, 60, 90)], "0 and 1"),
        ([(0.5, 0.5, 60, 90)], "0.5 and 0.5"),
        ([(-0.1, 0.5, 60, 90)], "-0.1"),
        ([(0.0, float("nan"), 60, 90)], "nan"),
        ([(0.0, 301.0, 60, 90)], "301"),
        ([(0.0, 0.5, 60.0, 90)], "60.0"),
        ([(0.0, 0.5, True, 90)], "True"),
        ([(0.0, 0.5, 128, 90)], "128"),
        ([(0.0, 0.5, 60, 0)], "and 0"),
        ([(1.0, 2.0, 60, 90), NOTE], "number 1"),
        (torch.zeros(8, 8), "(8, 8)"),
        (torch.zeros(1, 8, 8), "(1, 8, 8)"),
        (torch.zeros(3, 7, 8), "(3, 7, 8)"),
        (torch.zeros(3, 8, 1025), "(3, 8, 1025)"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.zeros(3, 8, 8, dtype=torch.float64), "float64"),
        (torch.zeros(3, 8, 8, requires_grad=True), "graph"),
        (torch.full((3, 8, 8), 255.0), "255"),
        (torch.full((3, 8, 8), -0.01), "-0.01"),
        (torch.full((3, 8, 8), float("nan")), "nan"),
    ],
)  # fmt: skip
def test_faults_of_works(work, said):
    assert said in fault_of_work(work)
    with pytest.raises(ValueError, match=re.escape(said)):
        to_json(work)


def test_an_option_welcomes_its_kinds():
    welcome = {(option, kind) for option in OPTIONS for kind, work in WORKS.items() if not fault_of_work(work, option)}
    assert welcome == {
        ("art", "image"), ("text", "text"), ("music", "music"), ("finetuning", "text"), ("finetuning", "image"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", WORKS)
def test_other_works_are_others(kind):
    others = [*WORKS.values(), "so", [NOTE], WORKS["image"] + 1e-7, WORKS["image"][:, :8, :8], None]
    assert [other is WORKS[kind] for other in others] == [same_work(WORKS[kind], other) for other in others]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"kind": "film"},
        {"kind": "image", "image": "data:image/gif;base64,R0lGODlhAQABAAAAACw="},
        {"kind": "image", "image": "data:image/png;base64,AAAA"},
        {"kind": "image", "image": "data:image/png;base64,é"},
        {"kind": "music", "notes": [[0.0, 0.5, 60]]},
        {"kind": "music", "notes": 5},
    ],
)
def test_what_is_no_work_is_refused(answer):
    with pytest.raises(ValueError, match="no work"):
        from_json(answer)


def test_random_state_tells_who_draws():
    import random

    start_of_all = random_state()
    torch.randn(1, generator=torch.Generator().manual_seed(0))
    np.random.default_rng(0).random()
    assert random_state() == start_of_all
    seen = {start_of_all}
    for draw in (lambda: torch.randn(1), lambda: np.random.random(), random.random):
        draw()
        seen.add(random_state())
    assert len(seen) == 4


# ---- the card

ENOUGH = "One word after another, and so on until it is enough. As here. As here. As here."
HEAD = "---\noption: text\nmetric: distinct words\nvalue: 0.50\nseed: 3\nprompts: one | two | three | four\n---\n\n# Words\n\n"
CARD = (HEAD + "\n\n".join(f"## {name}\n\n{ENOUGH}" for name in SECTIONS)).replace(
    "## Quantitative analyses\n\n", "## Quantitative analyses\n\nThe distinct words are 0.50. "
)


def test_a_card_is_read():
    card = read_card(CARD)
    assert (card.option, card.metric, card.value, card.stated, card.seed) == ("text", "distinct words", 0.5, "0.50", 3)
    assert (card.title, card.prompts) == ("Words", ("one", "two", "three", "four"))
    assert list(card.sections) == [name.lower() for name in SECTIONS]


def test_a_card_may_be_written_in_other_ways():
    other = CARD.replace("\n", "\r\n").replace("## Factors", "##  FACTORS ##").replace("option: text", "Option:text  ")
    assert faults_of_card(f"\n{other}\n\n## And more\n\n```\n# no title\n## Metrics\n```") == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("---\noption", "option", "Begin the card with a head"),
        ("option: text\n", "", "Add the line `option: …`"),
        ("option: text", "option: poetry", "art, text, music, finetuning"),
        ("value: 0.50", "value: half", "a finite number other than 0"),
        ("value: 0.50", "value: 0.0", "a finite number other than 0"),
        ("value: 0.50", "value: nan", "a finite number other than 0"),
        ("seed: 3", "seed: -3", "a whole number"),
        ("seed: 3", "seed: 4294967296", "a whole number"),
        ("one | two | three | four", "one | two | three", "4 to 12 prompts"),
        ("one | two | three | four", "one | two | three | two", "different ones"),
        ("one | two | three | four", "one | two | three |", "1 to 1000 characters"),
        ("# Words", "Words", "Give the card a title"),
        ("## Factors", "## Fractions", "Add the section `## Factors`"),
        ("## Factors\n\nOne word after another, and so on", "## Factors\n\nNo", "Say more under `## Factors`"),
        ("are 0.50", "are 0.501", "Say the value"),
        ("are 0.50", "are 10.50", "Say the value"),
        ("The distinct words are", "The result is", "Say the metric"),
    ],
)  # fmt: skip
def test_each_fault_of_a_card_is_named(old, new, said):
    (fault,) = faults_of_card(CARD.replace(old, new))
    assert said in fault
    with pytest.raises(ValueError, match=re.escape(fault)):
        read_card(CARD.replace(old, new))


# ---- the page


def demo(work) -> FastAPI:
    """An app with the page, that always answers the same."""
    app = FastAPI()
    home = page("<Title>", 'About "it" & more', ['say "a"', "<script>document.title = 'taken over'</script>"])
    app.get("/")(lambda: HTMLResponse(home, headers=PAGE_HEADERS))
    app.post("/generate")(lambda: to_json(work))
    return app


def test_the_page_holds_what_it_is_given_as_text():
    home = page("<Title>", "About it {{title}}", ['"first"'])
    assert "<h1>&lt;Title&gt;</h1>" in home
    assert "About it {{title}}" in home
    assert 'value="&quot;first&quot;"' in home
    assert "innerHTML" not in home


@pytest.mark.parametrize("kind", WORKS)
def test_the_page_shows_works(kind, browser_page):
    complaints: list[str] = []
    browser_page.on("console", lambda message: complaints.append(message.text))
    with serve(demo(WORKS[kind])) as address:
        browser_page.goto(address)
        assert browser_page.get_by_label("Prompt").input_value() == 'say "a"'
        browser_page.get_by_label("Prompt").fill("<script>document.title = 'taken over'</script>")
        browser_page.get_by_role("button", name="Make it").click()
        answer = browser_page.locator("#answer")
        match kind:
            case "text":
                answer.get_by_text("<b>so</b>").wait_for()
            case "image":
                answer.get_by_role("img").wait_for()
                assert answer.locator("img").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [9, 8]
            case "music":
                answer.get_by_label("2 notes in 1.0 seconds").wait_for()
                assert answer.locator("rect").count() == 2
        assert browser_page.get_by_role("button", name="Play").is_visible() == (kind == "music")
        assert browser_page.title() == "<Title>"
    assert complaints == []


def test_the_page_says_what_is_wrong(browser_page):
    from fastapi import HTTPException

    app = demo("a")
    app.router.routes.pop()

    @app.post("/generate")
    def refuse():
        raise HTTPException(422, "Name a <b>colour</b>.")

    with serve(app) as address:
        browser_page.goto(address)
        browser_page.get_by_role("button", name="Make it").click()
        browser_page.locator("#answer.wrong").get_by_text("Name a <b>colour</b>.").wait_for()


@pytest.mark.parametrize("kind", WORKS)
def test_show(kind, capsys):
    picture = show({"this": WORKS[kind], "that": WORKS[kind]})
    if kind == "text":
        assert capsys.readouterr().out.count("<b>so</b>") == 2
    else:
        assert "this, that" in picture.alt
        assert picture.png().startswith(b"\x89PNG")


# ---- folders

PROJECT = f'''\
# %%
import random

import torch
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from coursekit.capstone import page, to_json

WORDS = "one two three four five six seven eight nine ten".split()

# %%
def generate(prompt, seed):
    if not prompt.strip() or len(prompt) > 500:
        raise ValueError("Type one word or two.")
    chance = torch.Generator().manual_seed(seed)
    return f"{{prompt}} {{' '.join(WORDS[i] for i in torch.randint(10, (8,), generator=chance))}}"

# %%
def evaluate(generate, seed):
    words = [word for n in range(10) for word in generate("say", 100 * seed + n).split()]
    return len(set(words)) / len(words)

# %%
def model_card():
    return """{CARD.replace("seed: 3", "seed: 0").replace("0.50", "0.122")}"""

# %%
def create_demo(generate):
    class Wish(BaseModel):
        model_config = ConfigDict(strict=True)
        prompt: str = Field(min_length=1, max_length=1000)
        seed: int = Field(default=0, ge=0, lt=2**32)

    app = FastAPI()
    app.get("/")(lambda: HTMLResponse(page("Words", "Some words.")))
    app.get("/health")(lambda: {{"status": "ok"}})

    @app.post("/generate")
    def make(wish: Wish):
        try:
            return to_json(generate(wish.prompt, wish.seed))
        except ValueError as error:
            raise HTTPException(422, str(error))

    return app
'''


@pytest.fixture
def project(tmp_path):
    """A folder that lacks nothing."""
    folder = tmp_path / "capstone"
    folder.mkdir()
    (folder / "capstone.py").write_text(PROJECT, "utf-8")
    (folder / "presentation.md").write_text("# Words")
    shutil.copy(ASSIGNMENT.visible_path, folder)
    return folder


def released(folder: Path) -> Path:
    """The assignment as students get it."""
    shutil.copytree(ASSIGNMENT.directory, folder, ignore=shutil.ignore_patterns("capstone.py", "__pycache__"))
    nbformat.write(build_notebook(ASSIGNMENT), folder / "capstone.ipynb")
    return folder


def faults(findings: list[Finding]) -> list[str]:
    return [finding.text for finding in findings if not finding.sound]


def change(folder: Path, *changes: tuple[str, str]) -> None:
    text = PROJECT
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "capstone.py").write_text(text, "utf-8")


def test_a_folder_that_lacks_nothing(project, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["coursekit", "capstone", "check", str(project)])
    with pytest.raises(SystemExit) as stopped:
        main()
    out = capsys.readouterr().out
    assert "✗" not in out
    assert stopped.value.code == 0
    assert out.count("✓") == 7  # cells, four exercises, slides, files
    assert out.endswith("Nothing is missing.\n")


def test_each_defect_of_a_project_is_named(project):
    change(
        project,
        (", generator=chance))}", "))}"),
        ("## Caveats and recommendations", "## Praise"),
        ("100 * seed + n", "random.randrange(1000)"),
        ('"status": "ok"', '"status": "fine"'),
        ("# %%\ndef model_card", "# %%\n1 / 0\n\n# %%\ndef model_card"),
    )
    said = faults(check_folder(project, seconds=600))
    assert said[0] == "Mend cell 4: ZeroDivisionError: division by zero line 1: 1 / 0"
    text = "\n".join(said)
    assert "generate: this does not hold: “The same prompt and seed give the same work" in text
    assert "evaluate: this does not hold: “The same seed gives the same number" in text
    assert "model_card: Add the section `## Caveats and recommendations` to the card." in said
    assert "create_demo: this does not hold: “It has a page" in text


ONE_CHECK = """
@exercise("create_demo", contract=False)
class TestCreateDemo:
    def test_answers(self, student):
        ask(student.create_demo(lambda prompt, seed: "a text"), "POST", "/generate", {"prompt": "a"})
"""


def test_a_demo_that_hangs_is_ended(project):
    change(
        project, ("            return to_json", "            import time; time.sleep(60)\n            return to_json")
    )
    # Nothing else is checked: on a busy machine something else might be too slow.
    checks = [part for part in (project / "visible.py").read_text("utf-8").split("\n\n\n") if "class Test" not in part]
    (project / "visible.py").write_text("\n\n\n".join([*checks, ONE_CHECK]), "utf-8")
    *_, slides, files = findings = check_folder(project, seconds=5)
    assert faults(findings) == ["The checks of create_demo did not end within 5 seconds: nothing after it was tried."]
    assert slides.sound
    assert files.sound


def test_a_cell_that_ends_python_is_told(project):
    change(project, ("# %%\ndef generate", "# %%\nimport os; os._exit(3)\n# %%\ndef generate"))
    assert "While the cells ran, Python itself ended" in faults(check_folder(project))[0]


@pytest.fixture
def untried(project, monkeypatch):
    """The same folder; nothing in it is run, only looked at."""
    monkeypatch.setattr("coursekit.capstone.folder._try", lambda document, seconds: [])
    return project


def test_a_missing_folder(tmp_path):
    assert faults(check_folder(tmp_path / "none")) == [f"There is no folder {tmp_path / 'none'}."]


def test_an_empty_folder(tmp_path):
    no_project, no_slides = faults(check_folder(tmp_path))
    assert no_project == f"Put your project into {tmp_path} as capstone.ipynb or capstone.py."
    assert no_slides.startswith("Put your slides into the folder")


def test_a_broken_notebook(untried):
    (untried / "capstone.py").rename(untried / "capstone.ipynb")
    (fault,) = faults(check_folder(untried))
    assert fault == (
        "Save your work again: capstone.ipynb is no notebook: it is not valid JSON (line 1: Expecting value)."
    )


def test_missing_checks(untried):
    (untried / "visible.py").unlink()
    assert faults(check_folder(untried)) == ["Put visible.py of the assignment beside it: the checks are in there."]


@pytest.mark.parametrize(
    ("name", "megabytes", "said"),
    [
        ("model.pt", 0, "model.pt is not handed in: save weights as .safetensors, and load those."),
        ("helpers.py", 0, "helpers.py is not handed in: put its code into the notebook."),
        ("my weights.safetensors", 0, "Rename my weights.safetensors"),
        ("weights.safetensors", 33, "Make the files smaller: together they have 33.0 MB, and 32 MB are the most."),
        ("capstone.ipynb", 0, "Take away either capstone.ipynb or capstone.py"),
    ],
)
def test_files_that_will_not_do(untried, name, megabytes, said):
    with (untried / name).open("wb") as file:
        file.truncate(megabytes * 2**20)
    assert any(fault.startswith(said) for fault in faults(check_folder(untried)))


def test_slides(untried):
    slides = untried / "presentation.md"
    slides.write_text("")
    assert faults(check_folder(untried)) == ["presentation.md is empty: save your slides again."]
    slides.rename(untried / "slides.md")
    assert faults(check_folder(untried)) == [
        "Put your slides into the folder, as presentation.pdf, presentation.html or presentation.md."
    ]


# ---- templates


@pytest.mark.parametrize("option", OPTIONS)
def test_every_template_is_a_sound_project(option, tmp_path):
    """Begun from the released notebook, it lacks the slides and the answers to the questions, and nothing else."""
    folder = released(tmp_path / "capstone")
    start(option, folder)
    nbformat.validate(nbformat.read(folder / "capstone.ipynb", as_version=4))
    findings = check_folder(folder, seconds=600)
    assert [
        fault for fault in faults(findings) if not fault.startswith(("Put your slides", "Answer the question"))
    ] == []
    assert [finding.text.split(":")[0] for finding in findings if finding.sound][:5] == [
        "All cells run.", "generate", "evaluate", "model_card", "create_demo",
    ]  # fmt: skip
    assert sum(fault.startswith("Answer the question") for fault in faults(findings)) == len(ASSIGNMENT.questions)


def test_a_start_keeps_the_notebook_whole(tmp_path):
    folder = released(tmp_path / "capstone")
    before = nbformat.read(folder / "capstone.ipynb", as_version=4).cells
    start("text", folder)
    after = nbformat.read(folder / "capstone.ipynb", as_version=4).cells
    added = [cell for cell in after if "template" in cell.id]
    kept = [cell for cell in after if "template" not in cell.id]
    assert [cell.id for cell in kept] == [cell.id for cell in before]
    assert [cell.id for cell, old in zip(kept, before, strict=True) if cell.source != old.source] == [
        exercise.name for exercise in ASSIGNMENT.exercises
    ]
    assert [cell.cell_type for cell in added] == ["markdown", "code", "code"]
    assert after.index(added[0]) == 1 + [cell.id for cell in after].index("imports")


def test_what_is_written_is_not_written_over(tmp_path):
    folder = released(tmp_path / "capstone")
    start("text", folder)
    text = (folder / "capstone.ipynb").read_text("utf-8")
    with pytest.raises(CoursekitError, match="has an answer to generate already"):
        start("music", folder)
    assert (folder / "capstone.ipynb").read_text("utf-8") == text


def test_a_start_needs_a_template_and_a_notebook(tmp_path):
    with pytest.raises(UsageError, match="there are art, text, music, finetuning"):
        start("film", tmp_path)
    with pytest.raises(CoursekitError, match=r"there is no .*capstone\.ipynb"):
        start("art", tmp_path)


def test_a_template_that_fails_says_where(tmp_path):
    (tmp_path / "art.py").write_text("# %%\nx = 1\n# %%\nx / 0\n")
    with pytest.raises(CoursekitError, match="the template art, cell 2: ZeroDivisionError"):
        load_template("art", tmp_path)
