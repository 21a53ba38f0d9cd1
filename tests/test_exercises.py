"""The exercises: what is right passes, what is wrong is told in words, in both languages."""

from __future__ import annotations

import re

import numpy as np
import pytest

from convbridge import kernels, registry
from convbridge.errors import ArgumentError
from convbridge.teaching import autograd, exercises
from convbridge.teaching.exercises import check, compute, find, letter, numbers_of, sentence, texts, together
from convbridge.teaching.exercises.formulas import answer, correlate, fact

#: As three frameworks answer; what the installed ones do is asked in a test of its own.
FACTS = {"torch": 0, "tensorflow": 1, "mxnet": 2}
ALL = {one.name: one for one in together(FACTS)}
CJK = re.compile(r"[\u3400-\u9fff]")


def cells(text):
    """Read '0,1;2,3|a' as what was typed."""
    return [[row.split(",") for row in part.split(";")] for part in text.split("|")]


def typed_answer(one):
    """Type the right answer."""
    values = [compute(formula, (), FACTS) for formula in one.answer]
    return [
        [[letter(int(value[0, 0]))]] if part.chooses else [[repr(float(x)) for x in row] for row in value]
        for part, value in zip(one.parts, values, strict=True)
    ]


def said(name, text, language=0):
    verdict = check(ALL[name], cells(text), FACTS)
    return verdict.kind, sentence(verdict, language, ALL[name])


#: Exercise to answers that are right too, and to wrong ones with a part of what is said.
ALSO_RIGHT = {
    "bias": ["19.5,25.5;37.5,43.5", "39/2,51/2;75/2,87/2"],
    "diagonal-edges": ["0,1;-1,0", "0,-2;2,0", "0,1/3;-1/3,0"],
    "second-derivative": ["1,-2,1", "-1,2,-1", "0.5,-1,0.5"],
    "integral": ["1,1,1;1,1,1;1,1,1", "1/9,1/9,1/9;1/9,1/9,1/9;1/9,1/9,1/9"],
    "third-derivative": ["-1,3,-3,1", "1,-3,3,-1", "2,-6,6,-2"],
    "unrolled-kernel": ["0,1,,2,3,,,,;,0,1,,2,3,,,;,,,0,1,,2,3,;,,,,0,1,,2,3"],
    "min-pooling": ["-1|-1", "-2|-0.5", "-1/4|-4"],
    "average-pooling": ["1/4,1/4;1/4,1/4|2,2", "0.25,.25;25e-2,0.25|2,2"],
}
WRONG = {
    "bias": [
        ("23,31;47,55", "You added the bias to the weight"),
        ("19,25;37,43", "The bias is still missing"),
        ("5,11;23,29", "flipped the kernel"),
        ("19.5,25.5;37.5,0", "1 of 4 numbers are not right yet. The first of them stands in row 1, column 1"),
    ],
    "diagonal": [
        ("-1,0,0,0;1,-1,0,0;0,1,-1,0;0,0,1,-1", "All signs"),
        ("1,0,0,0;0,1,0,0;0,0,1,0;0,0,0,1", "3 of 16"),
    ],
    "transposes": [
        ("1,0,0;0,0,0;0,0,0;0,0,0;0,0,0|0,0,0,0,0;0,0,0,0,0;0,0,0,0,0", "Output for the transposed image: 1 of 15"),
        ("0,0,0;0,0,0;0,0,0;0,0,0;0,0,0|0,0,0,0,0;0,0,0,0,0;0,0,-1,0,0", "Output of the transposed kernel: 1 of 15"),
    ],
    "diagonal-edges": [
        ("1,0;0,-1", "Rising edge: your kernel gives 1 in row 0, column 2"),
        ("0,0;0,0", "Falling edge: in row 0, column 0 of the output your kernel gives 0"),
        ("1,-1;1,-1", "Rising edge: your kernel gives 1 in row 0, column 2"),
    ],
    "second-derivative": [
        ("1,-1,0", "Even growth: in row 0, column 0 of the output your kernel gives −1, where 0 should be"),
        ("1,0,1", "Constant: in row 0, column 0 of the output your kernel gives 2"),
        ("0,0,0", "Squares: in row 0, column 0 of the output your kernel gives 0"),
    ],
    "integral": [
        ("0,0,0;0,1,0;0,0,0", "gives 0, where something should be seen"),
        ("1,1,1;1,2,1;1,1,1", "gives 1 in the first place and 2 in row 1, column 1"),
    ],
    "third-derivative": [
        ("-1,1", "Even growth"),
        ("1,-2,1", "Squares: in row 0, column 0 of the output your kernel gives 2"),
        ("-1,3,-3,1,0", "it has 5 elements"),
        ("-1,2,0,-2,1", "it has 5 elements"),
    ],
    "loop-gradient": [("a|a|a", "tensorflow did something else"), ("c|b|c", "torch did something else")],
    "unrolled-input": [
        ("0,1,2,3;4,5,6,7;8,0,1,2;3,4,5,6", "Row 0 of A times the kernel is 14, and output number 0 is 19"),
        ("7,1,3,4;1,2,4,5;3,4,6,7;4,5,7,8", "with a 1 in row 0, column 0 and zeros elsewhere, row 0 of A gives 7"),
    ],
    "unrolled-kernel": [
        ("0,1,2,3,0,0,0,0,0;" + ";".join(["0,0,0,0,0,0,0,0,0"] * 3), "Row 0 of T times the input is 14"),
        ("9,1,0,2,3,0,0,0,0;0,0,1,0,2,3,0,0,0;0,0,0,0,1,0,2,3,0;0,0,0,0,0,1,0,2,3", "row 0 of T gives 9"),
    ],
    "flip": [
        ("0,1;2,3", "That is K itself"),
        ("1,0;3,2", "one way"),
        ("2,3;0,1", "one way"),
        ("0,2;1,3", "transposed"),
        ("9,9;9,9", "A single bright pixel: 9 comes out in row 0, column 0, where 3 should"),
    ],
    "receptive-field": [
        ("4,4|3", "do not add up"),
        ("2,2|3", "one layer"),
        ("5,5|3", "another size"),
        ("3,3|2", "So many layers see 5 × 5, and 7 × 7"),
    ],
    "same-size": [("1,1", "has 6 elements"), ("2,2", "has 10 elements")],
    "output-size": [
        ("2,1", "without the padding"),
        ("6,6", "with stride 1"),
        ("3,3", "rounded up"),
        ("5,1", "Not this size"),
    ],
    "channels": [
        ("19,25;37,43", "one of the channels alone"),
        ("28,36;52,60", "added, not averaged"),
        ("37,47;67,76", "4 of 4"),
    ],
    "one-by-one": [
        ("1,1,1;1,0,1", "Output channel 1 of pixel 0 becomes 4, where −2 is wanted"),
        ("1,1,0;1,0,-1", "Output channel 0 of pixel 0 becomes 3, where 6 is wanted"),
    ],
    "max-padding": [
        ("0,0;0,-5", "padded with zeros"),
        ("-10,-9;-6,-5", "stride 1 and no padding"),
        ("-15,-13;-7,-6", "row 1, column 1"),
    ],
    "average-pooling": [
        ("1,1;1,1|2,2", "Input X: 10 comes out in row 0, column 0, where 2.5 should"),
        ("1/4,1/4;1/4,1/4|1,1", "Input X: 3 × 3 numbers come out, where 2 × 2 should"),
        ("1/4,1/4;1/4,1/4|9,9", "Input X: 1 × 1 numbers come out"),
        ("1/2,0;0,1/2|2,2", "A single bright pixel: 2 comes out"),
    ],
    "min-pooling": [
        ("1|1", "the maximum itself"),
        ("-1|1", "another sign"),
        ("1|-1", "the wrong sign"),
        ("-1|-2", "where −5 should"),
    ],
}


def test_there_are_answers_to_all_of_them():
    assert set(WRONG) == set(ALL)
    assert all(len(wrong) >= 2 for wrong in WRONG.values())
    assert [one.name for one in together({})] == [name for name in ALL if name != "loop-gradient"]


@pytest.mark.parametrize("name", ALL)
def test_the_solution_passes_its_own_check(name):
    assert check(ALL[name], typed_answer(ALL[name]), FACTS).is_right


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, them in ALSO_RIGHT.items() for text in them])
def test_whatever_does_what_is_asked_is_right(name, text):
    assert said(name, text)[0] == "right"


@pytest.mark.parametrize(("name", "text", "words"), [(name, *one) for name, them in WRONG.items() for one in them])
def test_a_wrong_answer_is_told_what_is_wrong(name, text, words):
    kind, english = said(name, text)
    assert kind == "wrong"
    assert words in english
    assert CJK.search(said(name, text, 1)[1])


@pytest.mark.parametrize("name", ALL)
def test_every_message_of_its_own_can_be_heard(name):
    """What is never said is either not needed or not reached."""
    heard = {check(ALL[name], cells(text), FACTS).key.split(".say.")[1] for text, _ in WRONG[name]}
    unheard = set(ALL[name].says) - heard
    # one for each place of a matrix: one of them is heard, all are reached below
    assert {re.sub(r"\d+", "", say) for say in unheard} <= {"kernel-", "pixel-", "moved"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        # right for the one input that is shown, and for no other
        ("unrolled-kernel", "0,1,0,2,3,0,0,0,0;0,0,1,0,2,3,0,0,0;0,0,0,0,1,0,2,3,0;5,0,0,0,0,1,0,2,3", "row 3 of T"),
        ("average-pooling", "0.25,0.25;0.25,0.25|2,2", "Right"),
        ("one-by-one", "1,1,1;1,0,-1", "Right"),
    ],
)
def test_one_input_is_not_enough(name, text, words):
    assert words in said(name, text)[1]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("flip", "1,2", "Your kernel: 2 × 2 numbers are wanted"),
        ("flip", "1,2;3", "2 × 2 numbers"),
        ("flip", "", "2 × 2 numbers"),
        ("flip", "1,2;3,", "row 1, column 1 is still empty"),
        ("flip", "1,2;3,x", "“x” is no number"),
        ("flip", "1,2;3,nan", "“nan” is no number"),
        ("flip", "1,2;3,1/0", "“1/0” is no number"),
        ("flip", "1,2;3,exercises.right", "“exercises.right” is no number"),
        ("flip", "1,2;3,1e7", "too large"),
        ("flip", "1,2;3,4|5", "The answer has 1 parts, not 2"),
        ("third-derivative", "1,2,3,4,5,6,7", "1 × 1–6 numbers"),
        ("average-pooling", "1,1;1,1|0,2", "only whole numbers from 1 to 64 are possible, not 0"),
        ("average-pooling", "1,1;1,1|1.5,2", "not 1.5"),
        ("same-size", "-1,1", "from 0 to 64"),
        ("receptive-field", "3,3|65", "not 65"),
        ("loop-gradient", "a|b|d", "mxnet: choose one of a, b, c. Received: d"),
    ],
)
def test_what_cannot_be_read_is_said(name, text, words):
    for language in (0, 1):
        kind, sentence_ = said(name, text, language)
        assert kind == "unreadable"
        assert not re.search(r"\{\w+\}", sentence_)
    assert words in said(name, text)[1]


# --------------------------------------------------------------------------- truth


def test_the_solutions_are_what_the_library_designs():
    assert compute(ALL["second-derivative"].answer[0]).tolist() == kernels.second_derivative().tolist()
    assert compute(ALL["third-derivative"].answer[0]).tolist() == kernels.derivative(3).tolist()
    assert compute(ALL["integral"].answer[0]).tolist() == kernels.integral(3).tolist()
    assert compute(ALL["diagonal-edges"].answer[0]).tolist() == kernels.diagonal_edges(anti=True).tolist()


def test_no_smaller_kernel_is_a_third_derivative():
    """The number that is demanded is the smallest: a shorter kernel that is 0 on all lower powers is 0."""
    places = np.arange(4)
    for size in (1, 2, 3, 4):
        lower_powers = np.vander(places[:size], 3)  # on the left end of the image; elsewhere is the same
        assert (np.linalg.matrix_rank(lower_powers.T) == size) == (size < 4)
    assert ALL["third-derivative"].cases[-1].wanted == [[4]]


def test_the_numbers_of_the_solutions_are_the_chapters():
    assert numbers_of(ALL["bias"]) == {"inside": "19", "first": "19.5", "mistaken": "23"}
    assert numbers_of(ALL["channels"]) == {"a": "19", "b": "37", "sum": "56"}
    assert numbers_of(ALL["receptive-field"]) == {"two": "3", "layers": "3", "few": "27", "many": "49"}
    assert numbers_of(ALL["max-padding"]) == {"first": "−15", "zero": "0"}
    assert numbers_of(ALL["output-size"]) == {"height": "2", "width": "2"}
    assert numbers_of(ALL["same-size"]) == {"rows": "2", "columns": "1"}
    for one in ALL.values():
        for text in one.solution:
            assert set(re.findall(r"\{(\w+)\}", text)) == set(one.numbers)


def test_the_frameworks_are_asked(backend):
    [run] = [autograd.attempts_on(backend)]
    outcome = next((one.outcome for one in run.results if one.kind == "listing"), "refused")
    assert exercises.ask([backend]) == (
        {} if outcome == "refused" else {backend: ["gradients", "None", "raised"].index(outcome)}
    )
    assert registry.load(backend).listing is not None


# --------------------------------------------------------------------------- words


@pytest.mark.parametrize(("key", "text"), texts([*ALL.values()]).items())
def test_a_text_says_the_same_in_both_languages(key, text):
    english, chinese = text
    assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese))
    assert not CJK.search(english)
    assert CJK.search(chinese)
    assert "<" not in english + chinese  # the terminal shows it as it is
    # a number said in digits stays in digits; English may say it in words
    digits = [re.findall(r"\d+", re.sub(r"\{\w+\}", "", one)) for one in text]
    assert set(digits[0]) - {"1"} <= set(digits[1])


@pytest.mark.parametrize("name", ALL)
def test_every_message_is_there_and_has_its_places(name):
    one = ALL[name]
    for case in one.cases:
        for say in (case.say, *(say for _, say in case.mistakes)):
            assert not say or say in one.says
    used = {say for case in one.cases for say in (case.say, *(say for _, say in case.mistakes))}
    assert used - {""} == set(one.says)


def test_an_unknown_name_is_said_with_the_nearest():
    with pytest.raises(ArgumentError, match="Did you mean 'flip'") as raised:
        find("flipp")
    assert str(raised.value).endswith("Received: exercise='flipp'")


def test_a_check_that_compares_nothing_would_be_found():
    """The solution's own check fails when what it demands is changed: it is no check that cannot fail."""
    for one in ALL.values():
        for i, case in enumerate(one.cases):
            other = "nonzero" if case.wanted == "zero" else "zero" if isinstance(case.wanted, str) else None
            wanted = compute(case.wanted, (), FACTS) if other is None else None
            changed = case._replace(
                wanted=other or (wanted + 1).tolist() if not case.zeros else (1 - wanted).tolist(), mistakes=()
            )
            altered = one._replace(cases=(*one.cases[:i], changed, *one.cases[i + 1 :]))
            assert check(altered, typed_answer(one), FACTS).kind == "wrong", (one.name, i)


def test_formulas_compute_what_they_say():
    assert compute(correlate([[1, 2]], answer()), [np.array([[3.0]])]).tolist() == [[3, 6]]
    assert compute(fact("torch"), (), {"torch": 2}).tolist() == [[2]]
