"""``convbridge exercise``: the list, a question, answers and their exit codes, and answering in a terminal."""

from __future__ import annotations

import io
import re

import pytest

from convbridge.cli import main
from convbridge.teaching.exercises import EXERCISES, find

CJK = re.compile(r"[\u3400-\u9fff]")
QUICK = [one.name for one in EXERCISES if one.parts]


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command in this process, 80 columns wide: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def call(*arguments):
        capsys.readouterr()
        code = main(["exercise", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def columns(line):
    """Count the columns of a terminal that a line takes; Chinese is twice as wide."""
    from rich.cells import cell_len

    return cell_len(line.rstrip())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_list_names_them_all(run, language):
    code, out, _ = run("--language", language)
    assert code == 0
    for one in EXERCISES:
        assert re.search(rf"\b{one.name} +{re.escape(one.title[language == 'zh'])}", out)
    assert max(map(columns, out.splitlines())) <= 80


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_question_fits_the_terminal(run, name, language):
    code, out, err = run(name, "--language", language)
    assert (code, err) == (0, "")
    one = find(name)
    spoken = language == "zh"
    assert out.startswith(one.title[spoken])
    assert one.question[spoken].replace(" ", "")[:60] in re.sub(r"\s", "", out)
    for given in one.given:
        assert given.label[spoken] in out
    assert "--answer '_" in out
    assert max(map(columns, out.splitlines())) <= 80
    hint, solution = one.hint[spoken], one.solution[spoken]
    assert hint[:20] not in out
    assert solution[:20] not in out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("flip", "--answer", "3,2;1,0"), 0),
        (("flip", "--answer", "3 2; 1 0"), 0),
        (("second-derivative", "--answer", "-1,2,-1"), 0),
        (("second-derivative", "-a", "-1 2 -1"), 0),
        (("average-pooling", "--answer", "1/4,1/4;1/4,1/4 | 2,2"), 0),
        (("flip", "--answer", "0,1;2,3"), 1),
        (("flip", "--answer", "3,2;1"), 2),
        (("flip", "--answer", "3,2;1,x"), 2),
        (("flip", "--answer", ""), 2),
        (("average-pooling", "--answer", "1/4,1/4;1/4,1/4"), 2),
    ],
)
def test_the_exit_code_is_the_verdict(run, arguments, code):
    found, out, err = run(*arguments)
    assert found == code
    assert (out == "") == (code == 2)
    assert (err == "") == (code != 2)
    if code == 2:
        assert err.startswith("convbridge: ")
        assert err.count("\n") == 1


def test_a_wrong_answer_is_shown_where_it_is_wrong(run):
    code, out, _ = run("diagonal-edges", "--answer", "1,0;0,1")
    assert code == 1
    assert "Rising edge: your kernel gives 2 in row 0, column 0" in out
    assert [line.split() for line in out.splitlines()[-3:]] == [["[2]", "2", "1"], ["2", "1", "1"], ["1", "1", "0"]]
    code, out, _ = run("diagonal-edges", "--answer", "1,0;0,1", "--language", "zh")
    assert code == 1
    assert "还不对。 从左下到右上的边缘" in out


def test_hint_and_solution_come_when_asked_for(run):
    one = find("bias")
    _, out, _ = run("bias", "--hint")
    assert "Hint: " + one.hint[0][:50] in out
    assert "Solution" not in out
    _, out, _ = run("bias", "--solution", "--language", "zh")
    assert "答案：第一个输出不加偏差是19，加上偏差是19.5" in re.sub(r"\s", "", out)
    assert [line.split() for line in out.splitlines()[-2:]] == [["19.5", "25.5"], ["37.5", "43.5"]]
    code, out, _ = run("bias", "--answer", "0,0;0,0", "--hint")
    assert code == 1
    assert "Hint" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("flipp",), "Did you mean 'flip'"),
        (("--answer", "1"), "need the name of an exercise"),
        (("--hint",), "need the name"),
        (("flip", "--language", "fr"), "--language must be en or zh, not 'fr'"),
    ],
)
def test_what_it_cannot_do_is_said(run, arguments, words):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err


@pytest.fixture
def types(run, monkeypatch):
    """Answer the prompts of a terminal."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def call(lines, *arguments):
        monkeypatch.setattr("sys.stdin", Terminal("".join(f"{line}\n" for line in lines)))
        return run(*arguments)

    return call


def test_in_a_terminal_it_asks_until_the_answer_is_right(types):
    code, out, err = types(["0,1", "2,3", "hint", "3 2", "1 x", "3 2", "1 0"], "flip")
    assert code == 0
    assert "Not yet. That is K itself" in out
    assert "Hint: Convolution flips" in out
    assert "“x” is no number" in err
    assert out.rstrip().endswith("Right!")


def test_an_empty_line_or_the_end_leaves(types):
    assert types([""], "flip")[0] == 0
    assert types(["1,2"], "flip")[0] == 0
    assert types(["1,2", "3,4"], "flip")[0] == 1  # the last answer counts
    assert types(["1,2", "3,4", "solution"], "flip")[1].count("Solution: ") == 1


def test_with_an_answer_it_asks_nothing(types):
    assert types([], "flip", "--answer", "3,2;1,0")[0] == 0


def test_the_frameworks_that_are_installed_are_asked(run, monkeypatch):
    from convbridge.commands import compare
    from convbridge.teaching import exercises

    monkeypatch.setattr(compare, "choose_backends", lambda _: (["one", "two"], {}, {}))
    monkeypatch.setattr(exercises, "ask", lambda names: dict(zip(names, (0, 2))))
    assert run("loop-gradient", "--answer", "a|c")[0] == 0
    code, out, _ = run("loop-gradient", "--answer", "b|c")
    assert (code, "one did something else" in out) == (1, True)
    _, out, _ = run("loop-gradient", "--solution", "--language", "zh")
    assert "得到梯度" in out
    assert "one" in out
    monkeypatch.setattr(exercises, "ask", lambda names: {})
    code, out, err = run("loop-gradient")
    assert (code, out) == (2, "")
    assert "none is installed" in err
