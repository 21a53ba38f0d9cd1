"""The exercises in the page: checked as Python checks them, usable by keyboard, silent about what nobody asked for."""

from __future__ import annotations

import re

import numpy as np
import pytest
from page_browser import Opened
from test_exercises import ALL, ALSO_RIGHT, FACTS, WRONG, cells, typed_answer

from convbridge.teaching import page as pages
from convbridge.teaching.exercises import check, compute, sentence, texts
from convbridge.teaching.page.components.exercises import plain

NAMES = list(ALL)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Write a page with the exercises, on three frameworks' answers that need no framework."""
    run = pages.run(["numpy"], components={})
    gathered = {"exercises": {"facts": FACTS, "exercises": [plain(one) for one in ALL.values()]}}
    file = tmp_path_factory.mktemp("exercises") / "page.html"
    file.write_text(pages.render(run._replace(gathered=gathered)), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def opened(browser, address):
    """Open the exercises; in the end nothing must have been complained of or asked for."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
    watched = Opened(page, address)
    watched.load("#exercises")
    yield watched
    page.close()
    assert watched.complaints == []
    assert {url.split("#")[0] for url in watched.requests if not url.startswith(("data:", "about:"))} == {address}


class Box:
    """One exercise of the page."""

    def __init__(self, opened, name):
        self.opened, self.name = opened, name
        self.root = opened.section.locator(f".exercise[data-exercise={name}]")
        self.button = self.root.locator("h3 button")
        if self.button.get_attribute("aria-expanded") == "false":
            self.button.click()

    def fill(self, typed):
        for i, (part, rows) in enumerate(zip(ALL[self.name].parts, typed, strict=True)):
            place = self.root.locator(f"[data-part='{i}']")
            if part.chooses:
                place.locator(f"input[value={rows[0][0]}]").check()
                continue
            for _ in range(len(rows[0]) - part.columns):
                place.get_by_role("button", name="One column more").click()
            for a, row in enumerate(rows):
                for b, text in enumerate(row):
                    place.locator(f"td[data-at='{a},{b}'] input").fill(text)

    def check(self):
        self.root.get_by_role("button", name="Check").click()
        return self.said()

    def said(self):
        return self.root.locator(".verdict").inner_text()


# --------------------------------------------------------------------------- the same verdicts

RUN = """([name, answers]) => {
  const { facts, exercises } = words.data.components.exercises;
  const exercise = exercises.find((one) => one.name === name);
  return answers.map((typed) => {
    const verdict = exerciseChecks.check(exercise, typed, facts);
    return { ...verdict, sentence: exerciseChecks.sentence(verdict) };
  });
}"""


def some_answers(one, count=60):
    """Return answers to an exercise, right, nearly right, at random, and unreadable."""
    rng = np.random.default_rng(len(one.name))
    right = typed_answer(one)
    found = [right, [], right[:-1], [*right, [["1"]]], [[[]] for _ in right], [[["x"]] for _ in right]]
    found += [cells(text) for text, _ in WRONG[one.name]] + [cells(text) for text in ALSO_RIGHT.get(one.name, [])]
    for text in ("", " ", "-0", "1/0", "1/2/3", "nan", "inf", "1e7", "1e-12", "0x10", "½", "−3", "1.", ".", "65", "+2"):
        changed = [[list(row) for row in part] for part in right]
        changed[0][-1][-1] = text
        found.append(changed)
    while len(found) < count:
        scale = rng.choice([-2.0, 0.25, 1.0, 1.0, 1.0])
        changed = [
            [[cell if part.chooses else f"{float(cell) * scale:g}" for cell in row] for row in rows]
            for part, rows in zip(one.parts, right)
        ]
        i = rng.integers(len(right))
        part, rows = one.parts[i], changed[i]
        a, b = rng.integers(len(rows)), rng.integers(len(rows[0]))
        rows[a][b] = rng.choice(list("abc")) if part.chooses else str(rng.integers(-3, 9))
        if part.most:
            changed[i] = [row[: rng.integers(1, 5)] + ["0"] * rng.integers(0, 4) for row in rows]
        found.append(changed)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_what_python_says(opened, name):
    answers = some_answers(ALL[name])
    kinds = set()
    for language, code in enumerate(("en", "zh")):
        opened.page.evaluate("(code) => words.speak(code)", code)
        for typed, there in zip(answers, opened.page.evaluate(RUN, [name, answers]), strict=True):
            here = check(ALL[name], typed, FACTS)
            kinds.add(here.kind)
            assert (there["kind"], there["key"]) == (here.kind, here.key), typed
            assert there["at"] == (None if here.at is None else list(here.at)), typed
            assert set(there["values"]) == set(here.values), typed
            for key, value in here.values.items():
                same = value if isinstance(value, str) else pytest.approx(value, rel=1e-9, abs=1e-9)
                assert there["values"][key] == same, (typed, key)
            assert there["sentence"] == sentence(here, language, ALL[name]), typed
            if here.output is not None:
                np.testing.assert_allclose(there["output"], here.output, rtol=0, atol=1e-9)
    assert kinds == {"right", "wrong", "unreadable"}


def test_a_check_that_is_broken_in_the_page_is_found(opened):
    """The comparison above is one that can fail."""
    opened.page.evaluate("engine.flip = (K) => K")
    answers = some_answers(ALL["flip"])
    there = opened.page.evaluate(RUN, ["flip", answers])
    assert any(a["key"] != check(ALL["flip"], typed, FACTS).key for a, typed in zip(there, answers))


# --------------------------------------------------------------------------- in the page


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_that_is_shown_is_accepted_and_nothing_is_shown_before(opened, name):
    one, box = ALL[name], Box(opened, name)
    for text in (one.hint[0], one.solution[0].partition("{")[0]):
        assert text.strip() not in opened.section.inner_text() or not text.strip()
    assert box.root.locator("details p").count() == 0  # not hidden either: it is not there
    for i, part in enumerate(one.parts):
        values = box.root.locator(f"[data-part='{i}'] input").evaluate_all("(all) => all.map((x) => x.value)")
        assert part.chooses or set(values) == {""}
        assert box.root.locator(f"[data-part='{i}'] input:checked").count() == 0
    box.fill(typed_answer(one))
    assert box.check() == "Right!"
    assert box.root.locator(".verdict").get_attribute("role") == "status"
    assert opened.section.locator(".progress").inner_text() == f"1 of {len(ALL)} solved"
    assert box.root.locator("h3 .badge").is_visible()
    box.root.locator("summary", has_text="Solution").click()
    told = box.root.locator("details.solution p").first.inner_text()  # waits until it is there
    assert not re.search(r"\{\w+\}", told)
    shown = box.root.locator("details.solution table").evaluate_all(
        """(tables) => tables.map((table) => [...table.rows].map((row) =>
            [...row.cells].map((cell) => Number(cell.textContent))))"""
    )
    assert shown == [compute(f, (), FACTS).tolist() for f, part in zip(one.answer, one.parts) if not part.chooses]


def test_a_wrong_answer_is_told_and_shown(opened):
    box = Box(opened, "diagonal-edges")
    box.fill([[["1", "0"], ["0", "1"]]])
    assert box.check().startswith("Not yet. Rising edge: your kernel gives 2 in row 0, column 0 of the output")
    off = box.root.locator(".given-output td.off")
    assert (off.count(), off.inner_text()) == (1, "2")
    assert box.root.locator("h3 .badge").is_hidden()
    # another number, and the verdict is gone until it is asked for
    box.root.locator("[data-part='0'] input").first.fill("3")
    assert box.said() == ""
    assert box.root.locator(".given-output table").count() == 0


def test_what_cannot_be_read_is_marked(opened):
    box = Box(opened, "flip")
    box.fill([[["3", "2"], ["one", "0"]]])
    assert "“one” is no number" in box.check()
    assert box.root.locator(".answer td.off").get_attribute("data-at") == "1,0"
    box.fill([[["3", "2"], ["1", ""]]])
    assert "row 1, column 1 is still empty" in box.check()


def test_the_keyboard_alone_does_it(opened):
    page = opened.page
    opened.section.locator("h3 button").nth(NAMES.index("flip")).focus()
    page.keyboard.press("Enter")
    assert opened.hash() == "#exercises&e=flip"
    page.keyboard.press("Tab")
    # the first arrow to the left goes to the start of the number
    for key in ("3", "ArrowRight", "2", "ArrowDown", "0", "ArrowLeft", "ArrowLeft", "1"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    box = Box(opened, "flip")
    assert box.said() == "Right!"
    for label in ("Check", "Hint", "Solution"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == label
    page.keyboard.press("Enter")
    box.root.locator("details.solution p").first.wait_for()  # visible: the box is filled as it opens
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_a_grid_grows_and_keeps_what_was_typed(opened):
    box = Box(opened, "third-derivative")
    box.fill([[["-1", "3", "-3", "1"]]])
    less = box.root.get_by_role("button", name="One column less")
    less.focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("document.activeElement.getAttribute('aria-label')") == "One column less"
    values = box.root.locator("[data-part='0'] input").evaluate_all("(all) => all.map((x) => x.value)")
    assert values == ["-1", "3", "-3"]
    for _ in range(9):
        less.click()
    assert box.root.locator("[data-part='0'] input").count() == 1
    for _ in range(9):
        box.root.get_by_role("button", name="One column more").click()
    assert box.root.locator("[data-part='0'] input").count() == 6


def test_a_link_opens_an_exercise_in_either_language(opened):
    opened.load("#exercises&e=min-pooling&lang=zh")
    box = Box(opened, "min-pooling")
    assert 0 <= box.root.bounding_box()["y"] < 900
    assert ALL["min-pooling"].question[1] in box.root.inner_text()
    box.button.press("Enter")
    assert opened.hash() == "#exercises&lang=zh"
    opened.load("#exercises&e=no-such&x=1")
    assert "e=no-such, x=1" in opened.problem()


def test_another_language_keeps_the_answer_and_says_the_verdict_anew(opened):
    box = Box(opened, "flip")
    box.fill([[["0", "1"], ["2", "3"]]])
    assert "That is K itself" in box.check()
    opened.page.get_by_role("button", name="中文").click()
    assert "这就是 K 本身" in box.said()
    assert box.root.locator("[data-part='0'] input").nth(3).input_value() == "3"
    opened.page.get_by_role("button", name="English").click()
    assert "That is K itself" in box.said()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_none_is_wider_than_its_screen(opened, width):
    opened.page.set_viewport_size({"width": width, "height": 900})
    for name in NAMES:
        Box(opened, name)
    opened.open_all("#section-exercises")
    for language in ("English", "中文"):
        opened.page.get_by_role("button", name=language).click()
        assert not opened.too_wide()


def test_on_paper_all_questions_stand_and_no_solution(opened):
    Box(opened, "bias").root.locator("summary", has_text="Solution").click()
    opened.page.emulate_media(media="print")
    for name in NAMES:
        root = opened.section.locator(f".exercise[data-exercise={name}]")
        assert root.locator("h3 .title").is_visible()
        assert root.locator(".panel > p").first.is_visible()
    assert opened.section.locator("details p").first.is_hidden()
    assert opened.section.locator(".check-answer").first.is_hidden()


def test_the_page_has_the_texts_of_the_exercises():
    from convbridge.teaching.page.texts import TEXTS

    assert texts().items() <= TEXTS.items()
