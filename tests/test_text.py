import codecs
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.errors import CourseError
from autograder.text import FILE_LIMIT, Unreadable, clean, decode, printable, read_bytes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_in_any_form_is_read_without_a_word(encoding):
    text = "σ = 'ε → 0'\n"
    assert decode(text.encode(encoding)) == (text, None)


def test_a_declared_encoding_is_believed():
    text = "# -*- coding: cp1252 -*-\nprice = '5 €'\n"
    assert decode(text.encode("cp1252")) == (text, None)


@pytest.mark.parametrize("declared", ["no-such-codec", "undefined", "hex", "punycode", "idna"])
def test_a_declaration_that_cannot_be_followed_is_ignored(declared):
    data = f"# coding: {declared}\nx = 'é'\n".encode()
    assert decode(data) == (data.decode(), None)


def test_other_bytes_are_latin_1_and_the_student_is_told():
    text, note = decode("x = 'é'".encode("latin-1"))
    assert text == "x = 'é'"
    assert note
    assert "Latin-1" in note


def test_one_bad_byte_does_not_spoil_the_rest():
    text, note = decode("σ = 1  # ".encode() + b"\xff")
    assert text == "σ = 1  # \ufffd"
    assert note


@given(st.binary(max_size=64))
def test_any_bytes_give_text_that_can_be_cleaned_and_written(data):
    text = clean(decode(data)[0])
    assert text.encode("utf-8").decode("utf-8") == text
    assert not set(text) & {"\r", "\0"}


def test_clean_ends_lines_in_newlines():
    assert clean("\ufeffa\r\nb\rc\nd\0e\ud800") == "a\nb\nc\nde?"


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE])
def test_a_broken_file_behind_a_byte_order_mark_is_still_text(mark):
    assert isinstance(decode(mark + b"\x00")[0], str)


def test_links_are_not_followed(tmp_path):
    (tmp_path / "secret").write_text("x")
    link = tmp_path / "vae.py"
    link.symlink_to(tmp_path / "secret")
    with pytest.raises(Unreadable, match="link"):
        read_bytes(link)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "vae.py")
    with pytest.raises(Unreadable, match="ordinary"):
        read_bytes(tmp_path / "vae.py")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(Unreadable, match="ordinary"):
        read_bytes(tmp_path)


def test_size_is_looked_at_before_reading(tmp_path):
    path = tmp_path / "vae.ipynb"
    with path.open("wb") as file:
        file.truncate(FILE_LIMIT + 1)
    with pytest.raises(Unreadable, match="clear the outputs"):
        read_bytes(path)


def test_a_missing_file_is_an_error_of_the_caller(tmp_path):
    with pytest.raises(CourseError, match="No such file"):
        read_bytes(tmp_path / "vae.py")


def test_printable_text_is_one_short_line():
    assert printable("a\x1b[31m\nb", 80) == "a [31m b"
    assert printable("abcdef", 4) == "abc…"
