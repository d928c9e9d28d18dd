import stat

import pytest

from autograder.course import Course
from autograder.errors import CourseError
from tests.mini_course import make_course

MINIMAL = '[course]\nid = "mini"\ntitle = "Mini"\n'


@pytest.fixture
def load(tmp_path):
    def load_text(text: str) -> Course:
        (tmp_path / "course.toml").write_text(text, "utf-8")
        return Course.load(tmp_path)

    return load_text


def test_a_course_knows_its_assignments_in_their_order(load):
    course = load(MINIMAL + "".join(f'[[assignment]]\nslug = "{slug}"\ntitle = "T"\n' for slug in ("vae", "gan")))
    assert [assignment.slug for assignment in course] == ["vae", "gan"]
    assert (course.id, course.title, course.timezone.key) == ("mini", "Mini", "UTC")


def test_files_of_an_assignment_carry_its_slug(mini_course):
    mini, root = mini_course.assignment("mini"), mini_course.root
    assert mini.starter_path == root / "assignments" / "mini" / "mini.py"
    assert mini.hidden_path == root / "autograder" / "hidden" / "test_mini.py"
    assert mini.submission_directory("alice") == root / "submitted" / "alice" / "mini"


def test_points_are_those_of_exercises(mini_course):
    mini = mini_course.assignment("mini")
    assert [exercise.name for exercise in mini.exercises] == ["square", "Shift"]
    assert [question.name for question in mini.questions] == ["why_squares"]
    assert mini.points == 5


def test_an_assignment_has_the_limits_and_policy_of_the_course_but_for_what_it_says(load):
    course = load(
        MINIMAL + "[limits]\nseconds_per_call = 5\ndisk_mb = 80\n[policy]\nlate_days = 2\n"
        "[[assignment]]\nslug = 'a'\ntitle = 'A'\n"
        "[[assignment]]\nslug = 'b'\ntitle = 'B'\nlimits.seconds_per_call = 30\npolicy = {reveal = 'message'}\n"
    )
    a, b = course
    assert (a.limits.seconds_per_call, b.limits.seconds_per_call) == (5, 30)
    assert a.limits.disk_mb == b.limits.disk_mb == 80
    assert (a.policy.reveal, b.policy.reveal) == ("counterexample", "message")
    assert a.policy.late_days == b.policy.late_days == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[course", "cannot be read"),
        ('[course]\nid = "mini"\n', "course.title"),
        (MINIMAL, "assignment"),
        (MINIMAL + "[policy]\nreveal = 'everything'\n[[assignment]]\nslug = 'a'\ntitle = 'A'\n", "policy.reveal"),
        (MINIMAL + "[limits]\nmemory_mb = -1\n[[assignment]]\nslug = 'a'\ntitle = 'A'\n", "limits.memory_mb"),
        (MINIMAL + "[limits]\nmemory = 1\n[[assignment]]\nslug = 'a'\ntitle = 'A'\n", "limits.memory"),
        (MINIMAL + "[[assignment]]\nslug = 'a'\ntitle = 'A'\nlimits = 3\n", "assignment.0.limits"),
        (MINIMAL + "[assignment]\nslug = 'a'\ntitle = 'A'\n", "assignment"),
        (MINIMAL + "[[assignment]]\nslug = 'a'\ntitle = 'A'\npolicy.reveal = 'all'\n", "assignment.0.policy.reveal"),
        (MINIMAL + "timezone = 'Mars/Olympus'\n[[assignment]]\nslug = 'a'\ntitle = 'A'\n", "Mars/Olympus"),
        (MINIMAL + "[[assignment]]\nslug = '../a'\ntitle = 'A'\n", "slug"),
        (MINIMAL + "[[assignment]]\nslug = 'a'\ntitle = 'A'\n[[assignment]]\nslug = 'a'\ntitle = 'B'\n", "twice"),
    ],
)
def test_a_faulty_course_says_what_is_wrong(load, text, complaint):
    with pytest.raises(CourseError) as caught:
        load(text)
    assert "course.toml" in str(caught.value)
    assert complaint in str(caught.value)


def test_an_unknown_assignment_is_answered_with_the_nearest(mini_course):
    with pytest.raises(CourseError, match="did you mean 'mini'"):
        mini_course.assignment("mni")
    with pytest.raises(CourseError, match="there are: mini"):
        mini_course.assignment("zzz")


def test_a_course_is_found_from_any_folder_in_it(mini_course, monkeypatch):
    monkeypatch.delenv("COURSE_ROOT", raising=False)
    monkeypatch.chdir(mini_course.assignment("mini").directory)
    assert Course.find().root == mini_course.root.resolve()


def test_a_stated_root_comes_before_the_folder_one_is_in(mini_course, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_ROOT", str(mini_course.root))
    monkeypatch.chdir(tmp_path)
    assert Course.find().root == mini_course.root.resolve()


def test_no_course_is_an_error(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_ROOT", raising=False)
    with pytest.raises(CourseError, match=r"no course\.toml"):
        Course.find(tmp_path)


def test_the_seed_is_secret_and_stays(mini_course):
    seed = mini_course.seed
    assert stat.S_IMODE((mini_course.root / "course.seed").stat().st_mode) == 0o600
    assert Course.load(mini_course.root).seed == seed
    assert len(seed) == 32


def test_courses_have_seeds_of_their_own(mini_course, tmp_path):
    assert make_course(tmp_path / "other").seed != mini_course.seed


def test_a_seed_is_made_once_by_graders_that_begin_together(mini_course, monkeypatch):
    """Another grader makes it between our look and our writing."""
    import autograder.course

    def meanwhile(size: int) -> str:
        (mini_course.root / "course.seed").write_text("ab" * size + "\n")
        return "cd" * size

    monkeypatch.setattr(autograder.course.secrets, "token_hex", meanwhile)
    assert mini_course.seed == Course.load(mini_course.root).seed
