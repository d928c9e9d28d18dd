"""A capstone's folder: begun from a template, and looked through before it is handed in.

What a student's code does is tried in a process of its own, which may hang, print or end as it likes.
"""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from coursekit.capstone.card import faults_of_card
from coursekit.capstone.works import OPTIONS
from coursekit.check import VISIBLE, check_in
from coursekit.errors import CoursekitError, UsageError
from coursekit.notebook import Document, read_document, run_cells
from coursekit.source import definitions, exercises_in, unwritten

NAME = "capstone"
TEMPLATES = "templates"
SLIDES = tuple(f"presentation{suffix}" for suffix in (".pdf", ".html", ".md"))
ATTACHMENTS = (
    ".safetensors",
    ".json",
    ".txt",
    ".pdf",
    ".html",
    ".md",
)  # what a script says of itself: it has no metadata
OF_MODELS = (".pt", ".pth", ".bin", ".ckpt", ".npy", ".npz", ".pkl", ".h5", ".onnx", ".gguf")
MOST_FILES, MOST_MB = 50, 32
SOUND_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
PLACEHOLDER = "*Write your answer here.*"
SECONDS = 120.0  # for all cells together, and for the checks of each exercise
MOST_SAID = 300  # characters of what a check complains about


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is there, and in a sentence what it is, or what is to be done."""

    sound: bool
    text: str


def check_folder(folder: Path, *, seconds: float = SECONDS) -> list[Finding]:
    """Look through a folder as the grader will: the notebook, its exercises, its questions, the slides, the other files.

    Args:
        folder: that which holds `capstone.ipynb` or `capstone.py`, and `visible.py`.
        seconds: how long the checks of each exercise may take; the cells together have that long, or `SECONDS` if that is more.
    """
    if not folder.is_dir():
        return [Finding(False, f"There is no folder {folder}.")]
    document, findings = _find_project(folder)
    if document is not None:
        findings += _try(document, seconds)
        findings += _answers(document)
    return [*findings, *_slides(folder), *_files(folder, document)]


def start(option: str, folder: Path) -> Path:
    """Fill the stubs of a folder's `capstone.ipynb` with a template's answers, and put its other cells in.

    Raises:
        UsageError: there is no such option.
        CoursekitError: the notebook is missing, or is not as it was released.
    """
    if option not in OPTIONS:
        raise UsageError(f"there is no template {option!r}; there are {', '.join(OPTIONS)}")
    path, template = folder / f"{NAME}.ipynb", folder / TEMPLATES / f"{option}.py"
    for needed in (path, template):
        if not needed.is_file():
            raise CoursekitError(f"there is no {needed}; say which folder holds the assignment as you got it")
    if written := [cell.name for cell in read_document(path).cells if cell.name and not _is_stub(cell.python)]:
        raise CoursekitError(f"{path.name} has an answer to {written[0]} already; begin with a fresh copy of it")
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"] = list(_filled(notebook["cells"], template))
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def load_template(option: str, folder: Path | str = TEMPLATES) -> SimpleNamespace:
    """What a template defines: its `generate`, its `evaluate` and so on. It may train for some seconds.

    Raises:
        CoursekitError: it cannot be read, or one of its cells fails.
    """
    from IPython.utils.capture import capture_output

    with capture_output(stdout=False, stderr=False):  # the progress bars of libraries, in a notebook
        namespace, faults = run_cells(read_document(Path(folder) / f"{option}.py"))
    if faults:
        raise CoursekitError(f"the template {option}, cell {faults[0].number}: {faults[0].message}")
    return SimpleNamespace(**{name: value for name, value in namespace.items() if not name.startswith("__")})


# ---- the project


def _find_project(folder: Path) -> tuple[Document | None, list[Finding]]:
    paths = [path for path in (folder / f"{NAME}.ipynb", folder / f"{NAME}.py") if path.is_file()]
    if not paths:
        return None, [Finding(False, f"Put your project into {folder} as {NAME}.ipynb or {NAME}.py.")]
    findings = []
    if len(paths) > 1:
        findings.append(
            Finding(False, f"Take away either {paths[0].name} or {paths[1].name}: one of them is handed in.")
        )
    if not (folder / VISIBLE).is_file():
        return None, [*findings, Finding(False, f"Put {VISIBLE} of the assignment beside it: the checks are in there.")]
    try:
        return read_document(paths[0]), findings
    except CoursekitError as error:
        return None, [*findings, Finding(False, f"Save your work again: {error}.")]


def _try(document: Document, seconds: float) -> Iterator[Finding]:
    """Run the cells and the checks in another process, and take down what it says until it ends or time is over."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report")
        report.touch()
        command = [sys.executable, "-c", f"from {__name__} import main; main()", str(document.path), str(report)]
        paths = filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths)}
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(
            command, env=environment, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
        try:
            yield from _listen(process, report, seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _listen(process: subprocess.Popen[bytes], report: Path, seconds: float) -> Iterator[Finding]:
    """The findings in the report, as they come; one more if a stage does not end, or ends the process."""
    stage, heard, limit = "the cells", 0, max(seconds, SECONDS)
    deadline = time.monotonic() + limit
    while True:
        over = process.poll() is not None
        lines = report.read_text("utf-8").split("\n")[:-1]
        for line in lines[heard:]:
            said = json.loads(line)
            if "stage" in said:
                stage, limit = said["stage"], seconds
                deadline = time.monotonic() + limit
            else:
                yield Finding(**said)
        heard = len(lines)
        if stage == "done":
            return
        if over:
            yield Finding(
                False, f"While {stage} ran, Python itself ended: take out what exits or needs too much memory."
            )
            return
        if time.monotonic() > deadline:
            hint = (
                "train in hands-on cells, and load the weights"
                if stage == "the cells"
                else "nothing after it was tried"
            )
            yield Finding(False, f"{stage[0].upper()}{stage[1:]} did not end within {limit:g} seconds: {hint}.")
            return
        time.sleep(0.05)


def main() -> None:
    """In the process of its own: run the cells, then the checks of each exercise, and write down what is found."""
    path, report = map(Path, sys.argv[1:])
    with report.open("a", encoding="utf-8", buffering=1) as file:

        def say(**what: Any) -> None:
            file.write(json.dumps(what) + "\n")

        namespace, faults = run_cells(read_document(path))
        for fault in faults:
            say(sound=False, text=f"Mend cell {fault.number}: {_short(fault.message)}")
        if not faults:
            say(sound=True, text="All cells run.")
        checks = path.resolve().parent / VISIBLE
        for name in exercises_in(checks):
            say(stage=f"the checks of {name}")
            for finding in _exercise(checks, name, namespace):
                say(**asdict(finding))
        say(stage="done")
    os._exit(0)  # whatever threads the project has left


def _exercise(checks: Path, name: str, namespace: dict[str, Any]) -> Iterator[Finding]:
    if name == "model_card" and (faults := _faults_of_card(namespace)):
        yield from (Finding(False, f"model_card: {fault}") for fault in faults)
        return
    report = check_in(checks, name, namespace)
    failed = [outcome for outcome in report.outcomes if not outcome.held]
    if failed:
        more = f" ({len(failed) - 1} more checks fail)" if len(failed) > 1 else ""
        yield Finding(False, f"{name}: this does not hold: “{failed[0].statement}” {_short(failed[0].message)}{more}")
    if report.note:
        yield Finding(False, f"{name}: {report.note}.")
    elif not failed:
        yield Finding(True, f"{name}: all {len(report.outcomes)} checks hold.")


def _faults_of_card(namespace: dict[str, Any]) -> list[str]:
    try:
        card = namespace["model_card"]()
    except Exception:  # then the checks say what is wrong
        return []
    return faults_of_card(card) if isinstance(card, str) else []


def _short(message: str) -> str:
    return " ".join(message.split())[:MOST_SAID]


# ---- the rest of the folder


def _answers(document: Document) -> list[Finding]:
    """The written questions of a notebook that are not answered. Those of a script nobody can tell from their prompts."""
    if document.path.suffix != ".ipynb":
        return []
    missing, answered = [], 0
    for cell in json.loads(document.path.read_text("utf-8"))["cells"]:
        role = cell.get("metadata", {}).get("nbgrader", {})
        if cell.get("cell_type") == "markdown" and role.get("solution"):
            source = "".join(cell.get("source", ""))
            if source.replace(PLACEHOLDER, "").strip():
                answered += 1
            else:
                missing.append(
                    Finding(False, f"Answer the question {role.get('grade_id')!r}; its rubric says what counts.")
                )
    return missing or ([Finding(True, f"All {answered} questions have an answer.")] if answered else [])


def _slides(folder: Path) -> list[Finding]:
    found = [path for name in SLIDES if (path := folder / name).is_file()]
    if not found:
        return [Finding(False, f"Put your slides into the folder, as {', '.join(SLIDES[:-1])} or {SLIDES[-1]}.")]
    if not found[0].stat().st_size:
        return [Finding(False, f"{found[0].name} is empty: save your slides again.")]
    return [Finding(True, f"The slides are {found[0].name}.")]


def _files(folder: Path, document: Document | None) -> list[Finding]:
    """What is wrong with the files beside the notebook."""
    suffixes = (document.attachments if document else ()) or ATTACHMENTS
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    attached = [path for path in files if path.suffix.lower() in suffixes]
    faults = [f"Rename {path.name}: letters, digits and . _ - make a name that works everywhere."
              for path in attached if not SOUND_NAME.fullmatch(path.name)]  # fmt: skip
    for path in files:
        if path.suffix.lower() in OF_MODELS:
            faults.append(f"{path.name} is not handed in: save weights as .safetensors, and load those.")
        elif path.suffix == ".py" and path.name not in (f"{NAME}.py", VISIBLE):
            faults.append(f"{path.name} is not handed in: put its code into the notebook.")
    size = sum(path.stat().st_size for path in attached) / 2**20
    if len(attached) > MOST_FILES:
        faults.append(f"Take files away: there are {len(attached)}, and {MOST_FILES} are the most.")
    if size > MOST_MB:
        faults.append(f"Make the files smaller: together they have {size:.1f} MB, and {MOST_MB} MB are the most.")
    if faults:
        return [Finding(False, fault) for fault in faults]
    names = ", ".join(path.name for path in attached)
    return [Finding(True, f"This goes with it: {names} ({size:.1f} MB).")] if attached else []


# ---- templates


def _is_stub(source: str) -> bool:
    try:
        return any(unwritten(node) for node in definitions(source).values())
    except SyntaxError:
        return False


def _filled(cells: list[dict[str, Any]], template: Path) -> Iterator[dict[str, Any]]:
    """The notebook's cells: stubs filled, the template's helpers after the imports, its hands-on cells after `generate`."""
    import jupytext

    theirs = jupytext.reads(template.read_text("utf-8"), fmt="py:percent").cells
    answers = {cell.metadata["exercise"]: cell.source for cell in theirs if "exercise" in cell.metadata}
    others = [cell for cell in theirs if "exercise" not in cell.metadata]
    played = [_plain(cell, f"hands-on-template-{number}") for number, cell in enumerate(others, 1) if cell.metadata]
    helpers = [_plain(cell, f"template-{number}") for number, cell in enumerate(others, 1) if not cell.metadata]
    after = {"imports": helpers, "check_generate": played}
    for cell in cells:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        yield {**cell, "source": answers[name]} if name in answers else cell
        yield from copy.deepcopy(after.get(name, []))


def _plain(cell: Any, name: str) -> dict[str, Any]:
    """A cell of a notebook of version 4.5."""
    given: dict[str, Any] = {"cell_type": cell.cell_type, "id": name, "metadata": dict(cell.metadata)}
    given["source"] = cell.source
    return given | ({"outputs": [], "execution_count": None} if cell.cell_type == "code" else {})
