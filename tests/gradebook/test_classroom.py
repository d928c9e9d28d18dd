"""A class is recorded as its verdicts come, whatever happens on the way."""

import os
import signal
import threading
import time

import psutil
import pytest

from autograder.classroom import grade_class
from autograder.gradebook.record import scores
from autograder.reference import reference_script

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own affair


@pytest.fixture
def class_of_three(mini, desk):
    """Three who answer as the reference does, each in another way as far as bytes go."""
    for student in ("ada", "ben", "cyd"):
        (desk.folder(student) / "mini.py").write_text(f"{reference_script(mini)}\n\n# %%\nname = {student!r}\n")


def graded(course):
    """Who has a score."""
    return {who for who, score in scores(course, "mini").items() if score.grades["square"].score is not None}


def test_a_score_is_recorded_before_the_class_is_through(course, mini, class_of_three):
    seen = []
    found = grade_class(mini, progress=lambda *step: seen.append(step))
    assert {item.student: item.score for item in found} == {"ada": 5.0, "ben": 5.0, "cyd": 5.0}
    assert seen.index(("Recording", 1, 3)) < seen.index(("Grading", 2, 3))
    assert seen[-1] == ("Recording", 3, 3)


def test_a_run_that_is_stopped_keeps_what_it_recorded_and_the_next_goes_on(course, mini, class_of_three):
    def stop(what, done, total):
        if (what, done) == ("Recording", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_class(mini, progress=stop)
    assert len(graded(course)) == 1
    assert {item.score for item in grade_class(mini)} == {5.0}
    assert graded(course) == {"ada", "ben", "cyd"}


def test_who_lost_their_runner_is_graded_once_more(course, mini, desk):
    slow = "import time\ntime.sleep(3)\n"
    (desk.folder("ada") / "mini.py").write_text(f"{reference_script(mini)}\n\n# %%\n{slow}")
    killed = []

    def kill_a_runner():
        while not killed:
            for process in psutil.Process().children(recursive=True):
                parent = process.parent()
                if "engines.warm" in " ".join(process.cmdline()) and parent and parent.pid != os.getpid():
                    process.send_signal(signal.SIGKILL)
                    killed.append(process.pid)
                    return
            time.sleep(0.02)

    killer = threading.Thread(target=kill_a_runner, daemon=True)
    killer.start()
    [item] = grade_class(mini)
    killer.join()
    assert (item.score, item.failure) == (5.0, None)
