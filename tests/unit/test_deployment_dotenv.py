"""The file .env as Serverless Devs reads it; expected are the values of dotenv 16.3.1 and dotenv-expand 10.0.0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployment.dotenv import Assignment, VariablesFileError, assign, environment, parse, read

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("A= b c \t", "b c"),
        ("export A = b", "b"),
        ("  export\tA=b", "b"),
        ("A: b", "b"),
        ("A=", ""),
        ("A=''", ""),
        ("A=b # comment", "b"),
        ("A=b#comment", "b"),
        ("A='b # c' # comment", "b # c"),
        ('A="b\\nc"', "b\nc"),
        ("A='b\\nc'", "b\\nc"),
        ("A=b\\nc", "b\\nc"),
        ('A="b\nc"', "b\nc"),
        ('A=`it\'s "so"`', 'it\'s "so"'),
        ("A='it\\'s'", "it\\'s"),
        ("A=it's", "it's"),
        ("A='b", "'b"),
        ("A='b'c", "'b'c"),
        ("A=b\r\nB=c\r\n", "b"),
        ("\ufeffA=b", "b"),
        ("A=b\nA=c", "c"),
        ("A=\u00a0b\u00a0", "b"),
        ('A=["x","y"]', '["x","y"]'),
        ("A=[\"x\", '#y']", '["x", \''),
        ("# A=c\nA=b", "b"),
    ],
)
def test_a_value(text: str, value: str) -> None:
    assert environment(parse(text), {})["A"] == value


@pytest.mark.parametrize("text", ["", "\n\n", "# A=b", "A", "A b=c", "=b", "A\n=b", "é=b", "A;B=c"])
def test_lines_without_an_assignment_are_skipped(text: str) -> None:
    assert [one.name for one in parse(text) if one.name == "A"] == ([] if text != "A\n=b" else ["A"])


def test_each_assignment_has_its_line() -> None:
    text = "\ufeff# first\r\nA=1\r\n\r\nB='two\r\nlines'\r\nexport A=2"
    assert parse(text) == [Assignment("A", "1", 2), Assignment("B", "two\nlines", 4), Assignment("A", "2", 6)]


def test_the_shell_takes_precedence_even_if_it_is_empty() -> None:
    assert environment(parse("A=1\nB=2\n"), {"B": "", "C": "3"}) == {"A": "1", "B": "", "C": "3"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("B=1\nA=$B-${B}", "1-1"),
        ("A='$SHELL_ONLY'", "s"),
        ("A=${NONE:-else}", "else"),
        ("A=$NONE", ""),
        ("A=\\$B", "$B"),
        ("A=2$", "2$"),
        ("B=$C\nC=3\nA=$B", "3"),
    ],
)
def test_references_are_replaced(text: str, value: str) -> None:
    assert environment(parse(text), {"SHELL_ONLY": "s"})["A"] == value


@pytest.mark.parametrize("text", ["A=$A", "A=$B\nB=$A", "A=x$A$A"])
def test_references_without_an_end_are_refused(text: str) -> None:
    with pytest.raises(VariablesFileError, match="A: expected references that end"):
        environment(parse(text), {})


def test_a_missing_file_has_no_variables_and_an_unreadable_one_is_reported(tmp_path: Path) -> None:
    assert read(tmp_path / ".env") == []
    (tmp_path / ".env").mkdir()
    with pytest.raises(VariablesFileError, match="expected a readable file of variables, found: Is a directory"):
        read(tmp_path / ".env")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"A=1\nB=\xff\n", "line 2 with the byte 0xff"),
        ("A=1\n".encode("utf-16"), "line 1 with the byte 0xff"),
        ("A=1\n".encode("utf-16-le"), "line 1 with the byte 0x00"),
        (b"A=1\n\nB=\x002\n", "line 3 with the byte 0x00"),
    ],
)
def test_a_file_that_is_not_text_in_utf_8_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    """Serverless Devs would read other names and values than the file's, or none."""
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(VariablesFileError, match=f"expected text in UTF-8, found {found}; save the file as UTF-8"):
        read(tmp_path / ".env")


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to("gone")
    with pytest.raises(VariablesFileError, match="expected a readable file of variables, found: No such file"):
        read(tmp_path / ".env")


VALUES = {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "# note\nA=1\nB=2\n"),
        ("C=3", "C=3\n\n# note\nA=1\nB=2\n"),
        ("# A=0\nC=3\n", "# A=0\nC=3\n\n# note\nA=1\nB=2\n"),
        ("A=0\r\nexport B = 0 # old\r\nC=3\r\n", "A=1\r\nB=2\r\nC=3\r\n"),
        ("A=1\nB=0\nB=0\n", "A=1\nB=2\nB=2\n"),
        ("A='0\nB=0'\n", "A=1\nB=2\n"),
        ("A: 0\nB=2\n", "A: 0\nB=2\n\n# note\nA=1\n"),
    ],
)
def test_a_variable_is_set_where_it_counts_and_the_rest_stays(tmp_path: Path, before: str | None, after: str) -> None:
    file = tmp_path / ".env"
    if before is not None:
        file.write_bytes(before.encode())
        file.chmod(0o640)
    assert assign(file, VALUES, header="# note")
    assert file.read_bytes().decode() == after
    assert environment(read(file), {}).items() >= VALUES.items()
    assert file.stat().st_mode & 0o777 == (0o600 if before is None else 0o640)
    assert not assign(file, VALUES, header="# note")
    assert [path.name for path in tmp_path.iterdir()] == [".env"]
