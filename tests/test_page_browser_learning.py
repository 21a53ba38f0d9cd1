"""The section about learning in a real browser: the book's numbers, own starts, divergence, links, keyboard."""

from __future__ import annotations

import re

import pytest

from convbridge.teaching.learning import chapter_images, learn

CHINESE = re.compile(r"[\u3400-\u9fff]")


@pytest.fixture
def lesson(unopened):
    unopened.load("#learning")
    return unopened


def rows(lesson):
    """The table: step, loss before it, kernel after it, and the bias, if there is one."""
    texts = lesson.section.locator(".steps tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return [[text.replace("−", "-") for text in row] for row in texts]


def sums(lesson):
    return lesson.section.locator(".sums p").all_inner_texts()


def where(lesson):
    return lesson.section.locator(".where").inner_text()


def fill(lesson, label, text):
    lesson.section.get_by_label(label, exact=True).fill(text)


def test_the_books_numbers_are_seen(lesson):
    shown = rows(lesson)
    assert [row[1] for row in shown[1::2]] == ["4.915200", "0.824634", "0.138351", "0.023211", "0.003894"]
    assert shown[-1][2] == "0.9884708, -0.9884708"
    lesson.follow("From (0.5, 0.5)")
    shown = rows(lesson)
    assert [row[1] for row in shown[1::2]] == ["14.515200", "4.756794", "1.748963", "0.682918", "0.274110"]
    assert [f"{float(text):.6f}" for text in shown[-1][2].split(",")] == ["1.042158", "-0.934784"]
    lesson.follow("With a bias, from (0.5, 0.5)")
    shown = rows(lesson)
    assert len(shown) == 100
    assert [f"{float(text):.4f}" for text in [*shown[-1][2].split(","), shown[-1][3]]] == [
        *("1.0000", "-1.0000", "-0.0000")
    ]


def test_every_backend_is_drawn_and_judged(lesson, page_run):
    present = [one.name for one in page_run.participants if not one.problem]
    chart = lesson.section.locator("svg.chart")
    assert chart.locator("text.name").all_text_contents() == present
    paths = chart.locator("path.curve").evaluate_all("(all) => all.map((x) => x.getAttribute('stroke-dasharray'))")
    assert len(set(paths)) == len(paths) == len(present)  # told apart without colour
    lengths = chart.locator("path.curve").evaluate_all("(all) => all.map((x) => x.getAttribute('d').split('L').length)")
    assert lengths == [10] * len(present)
    assert chart.get_attribute("aria-label").startswith("Curve of the loss on a logarithmic axis, numpy")
    verdict = lesson.section.locator(".verdict")
    assert verdict.get_attribute("data-kind") in ("equal", "rounding")
    assert f"All {2 * len(present)} loops" in verdict.inner_text()
    assert "the largest difference of two losses" in verdict.inner_text()


def test_the_panes_show_the_loops_and_what_they_return(lesson, page_run):
    for name, run in page_run.gathered["learning"]["lessons"][0]["own"].items():
        pane = lesson.section.locator(f".pane[data-backend={name}]")
        assert pane.locator("code[data-source]").text_content().startswith("def learn(")
        assert pane.locator(".copy").count() == 1
        shown = pane.locator(".call").inner_text()
        assert "learn(X, Y, np.array([[0.0, 0.0]]), 0.03, 10, False)" in shown
        assert "[4.915200, 0.824634, 0.138351, 0.023211, 0.003894]" in shown
        assert "[[0.9884708, -0.9884708]]" in shown
        assert f"{run['losses'][0]:.6f}" == "4.915200"


def test_a_step_shows_how_the_kernel_moves(lesson):
    assert sums(lesson) == [
        "Loss: 12.000000, the sum of the squared errors",
        "kernel, column 0: 0 − 0.03×(−12) = 0.36",
        "kernel, column 1: 0 − 0.03×12 = −0.36",
    ]
    assert lesson.grids("Gradient") == [[["-12", "12"]]]
    assert lesson.grids("Wanted") == [[["0", "1", "0", "0", "0", "-1", "0"]] * 6]
    assert lesson.grids("Output") == [[["0"] * 7] * 6]
    lesson.press("Next")
    assert lesson.grids("Kernel") == [[["0.36", "-0.36"]]]
    assert lesson.grids("Output") == [[["0", "0.36", "0", "0", "0", "-0.36", "0"]] * 6]
    assert lesson.section.locator(".steps [aria-current=step] th").inner_text() == "2"
    lesson.press("Last")
    assert where(lesson) == "Step 10 of 10"
    lesson.press("Next")
    assert where(lesson) == "Step 1 of 10"
    lesson.section.locator("svg.chart").click(position={"x": 57, "y": 100})
    assert where(lesson) == "Step 1 of 10"


def test_playing_stops_at_the_last_step(lesson):
    lesson.go("#learning&step=8")
    lesson.section.get_by_label("Speed").select_option("4")
    lesson.press("Play")
    lesson.section.get_by_role("button", name="Pause").wait_for(state="detached")
    assert where(lesson) == "Step 10 of 10"


def test_the_page_s_own_descent_is_the_library_s(lesson):
    X, Y = chapter_images()
    fill(lesson, "Kernel to start from, column 0", "2")
    fill(lesson, "Kernel to start from, column 1", "-1/2")
    fill(lesson, "Learning rate", "0.01")
    fill(lesson, "Steps", "25")
    lesson.section.get_by_label("learn a bias").check()
    assert "Computed in the page" in lesson.section.locator(".origin").inner_text()
    assert not lesson.section.locator(".verdict").is_visible()
    assert lesson.section.locator("svg.chart text.name").all_text_contents() == ["this page"]
    import numpy as np

    [run] = learn(X, Y, np.array([[2, -0.5]]), ["numpy"], rate=0.01, steps=25, use_bias=True).runs
    shown = rows(lesson)
    assert len(shown) == 25
    for row, loss, weight, bias in zip(shown, run.losses, run.weights, run.biases, strict=True):
        np.testing.assert_allclose(float(row[1]), loss, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose([float(text) for text in row[2].split(",")], weight[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(float(row[3]), bias, rtol=0, atol=1e-6)
    link = lesson.hash()
    assert link == "#learning&start=2,-0.5&bias=1&rate=0.01&steps=25"
    lesson.page.reload()
    assert rows(lesson) == shown


def test_a_rate_that_is_too_large_diverges_with_a_sentence(lesson):
    lesson.go("#learning&start=0.5,0.5")
    fill(lesson, "Learning rate", "0.05")
    note = lesson.section.locator(".grows")
    assert note.inner_text().startswith("The loss grows, from 27 to ")
    assert "every learning rate below 0.03333 converges" in note.inner_text()
    fill(lesson, "Learning rate", "1e200")
    assert "Before step 2 the loss is no finite number any more" in note.inner_text()
    assert where(lesson) == "Step 1 of 1"
    assert lesson.problem() == ""
    fill(lesson, "Learning rate", "0.03")
    assert not note.is_visible()
    assert lesson.section.locator(".verdict").is_visible()
    lesson.go("#learning&start=1,-1")
    assert note.inner_text() == "The loss is 0: there is nothing to learn."
    assert lesson.section.locator("svg.chart").count() == 0


@pytest.mark.parametrize(
    ("label", "text", "message"),
    [
        ("Learning rate", "0", "The learning rate must be a finite number greater than 0. Given: 0."),
        ("Learning rate", "inf", "The learning rate must be a finite number greater than 0. Given: inf."),
        ("Learning rate", "", "The learning rate must be a finite number greater than 0. Given: ?."),
        ("Steps", "0", "The number of steps must be a whole number of at least 1. Given: 0."),
        ("Steps", "2.5", "The number of steps must be a whole number of at least 1. Given: 2.5."),
        ("Steps", "999", "The number of steps can be at most 200 on this page. Given: 999."),
        ("Kernel to start from, column 0", "nan", "Kernel to start from, column 0 must be a finite number"),
        ("Kernel to start from, column 1", "<b>", "Kernel to start from, column 1 must be a finite number"),
    ],
)
def test_wrong_input_is_said_and_the_lesson_goes_on(lesson, label, text, message):
    before = rows(lesson)
    fill(lesson, label, text)
    assert lesson.problem().startswith(message)
    assert lesson.section.get_by_label(label, exact=True).get_attribute("aria-invalid") == "true"
    assert rows(lesson) == before
    lesson.press("Next")
    assert where(lesson) == "Step 2 of 10"
    fill(lesson, label, "7")
    assert lesson.problem() == ""


@pytest.mark.parametrize(
    "part", ["start=1", "start=a,b", "rate=-1", "steps=0", "steps=1e9", "of=caffe", "step=x", "x=1"]
)
def test_a_damaged_link_is_said(lesson, part):
    lesson.go(f"#learning&{part}")
    assert part in lesson.problem()
    assert len(rows(lesson)) == 10


def test_a_link_keeps_the_state(lesson):
    lesson.go("#learning&start=0.5,0.5&step=4")
    assert where(lesson) == "Step 4 of 10"
    assert sums(lesson)[0].startswith("Loss: 4.756794")
    lesson.press("Next")
    name = lesson.section.locator(".of option").all_text_contents()[-1]
    lesson.section.get_by_label("Numbers of").select_option(name)
    lesson.page.get_by_role("button", name="中文").click()
    link = lesson.hash()
    of = "" if name == "numpy" else f"&of={name}"
    assert link == f"#learning&start=0.5,0.5{of}&step=5&lang=zh"
    before = lesson.section.locator(".lesson").inner_text()
    lesson.page.reload()
    assert lesson.section.locator(".lesson").inner_text() == before
    lesson.load("#learning&start=0.5,0.5&bias=1")
    assert len(rows(lesson)) == 100


def test_the_keyboard_alone_does_it_all(lesson):
    page = lesson.page
    lesson.section.get_by_role("link", name="From (0, 0)").focus()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.closest('label')?.textContent")
        )
        if page.evaluate("document.activeElement.matches('.lesson .stepper select')"):
            break
    wanted = ["Kernel to start from, column 0", "Kernel to start from, column 1", "Learning rate", "Steps"]
    wanted += [" learn a bias", "Loss and kernel, step by step", "First", "Back", "Play", "Next", "Last"]
    assert [label for label in reached if label in wanted] == wanted
    lesson.section.get_by_role("button", name="First").focus()
    for key, step in (("ArrowRight", 2), ("ArrowDown", 3), ("ArrowLeft", 2), ("End", 10), ("Home", 1)):
        page.keyboard.press(key)
        assert where(lesson) == f"Step {step} of 10"
    lesson.section.get_by_label("Learning rate").focus()
    page.keyboard.press("End")
    page.keyboard.type("1")
    assert "Computed" in lesson.section.locator(".origin").inner_text()


def test_all_of_it_speaks_chinese(lesson):
    lesson.go("#learning&rate=0.2&steps=20&start=3,3")
    lesson.page.get_by_role("button", name="中文").click()
    fill(lesson, "学习率", "x")
    assert CHINESE.search(lesson.problem())
    for part in (".origin", ".grows", ".sums", ".steps thead", ".curve-title", ".of", ".where"):
        text = lesson.section.locator(part).inner_text()
        assert CHINESE.search(text), part
        assert not re.search(r"[A-Za-z]{4}", text.replace("float64", "")), part
    assert CHINESE.search(lesson.section.locator("svg.chart").get_attribute("aria-label"))


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_every_screen(lesson, width):
    lesson.page.set_viewport_size({"width": width, "height": 800})
    for link in ("#learning&bias=1&step=50", "#learning&start=-1.23456789,9.87654321&rate=0.05&steps=200&step=200"):
        for language in ("English", "中文"):
            lesson.go(link)
            lesson.page.get_by_role("button", name=language, exact=True).click()
            assert not lesson.too_wide(), link
            chart = lesson.section.locator("svg.chart").bounding_box()
            plot = lesson.section.locator(".plot").bounding_box()
            assert chart["width"] <= plot["width"] + 1
