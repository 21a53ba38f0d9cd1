"""The page in a real browser: by mouse, by keyboard, in three widths, without a request or an error."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from convbridge.parity.reports import data, html, words
from convbridge.parity.results import MISSING, ORACLE, REAL_DIFFERENCE, ROUNDING

samples = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("report_samples.py"))))


@pytest.fixture(scope="module")
def matrix():
    return samples.every_verdict(25)


@pytest.fixture(scope="module")
def address(matrix, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(html.render(matrix), encoding="utf-8")
    return file.as_uri()


class Watched:
    """A page, and everything that it complains of or asks for."""

    def __init__(self, page, address):
        self.page, self.complaints, self.requests = page, [], []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)

    def heading(self):
        return self.page.inner_text("#panel-title")

    def focused(self):
        return self.page.evaluate("document.activeElement.id")

    def is_open(self):
        return self.page.evaluate("document.getElementById('panel').open")

    def is_too_wide(self):
        return self.page.evaluate(
            "[document.documentElement, document.getElementById('panel')].some((e) => e.scrollWidth > e.clientWidth)"
        )


@pytest.fixture
def opened(browser, address):
    """Open the report; afterwards nothing must have been asked for but the file itself, and nothing complained of."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    watched = Watched(page, address)
    yield watched
    page.close()
    assert watched.complaints == []
    assert [url for url in watched.requests if not url.startswith("data:")] == [address]


def cell_of(matrix, verdict, *, oracle=True):
    """Return the key of a cell with a verdict."""
    for index, (_, cells) in enumerate(data.cells_in_order(matrix).items()):
        for pair, cell in cells.items():
            if cell.verdict == verdict and (pair[1] == ORACLE) == oracle:
                return f"{index}-{matrix.pairs.index(pair)}", pair, cell
    raise AssertionError(verdict)


def test_nothing_can_be_sent_away(browser, address):
    watched = Watched(browser.new_page(), address)
    assert not watched.page.evaluate("fetch('https://example.org').then(() => true, () => false)")
    image = "https://example.org/a.png"
    with watched.page.expect_event("requestfailed") as failed:
        watched.page.evaluate("(src) => document.body.append(Object.assign(new Image(), {src}))", image)
    assert failed.value.url == image
    assert failed.value.failure == "csp"
    # so the complaints and the requests of the other tests are seen when there are any
    assert any("Content Security Policy" in complaint for complaint in watched.complaints)
    assert image in watched.requests
    watched.page.close()


def test_text_and_boxes_filter_the_rows(opened, matrix):
    page, rows = opened.page, list(matrix.cells())
    visible, status = page.locator("tr[data-row]:visible"), page.locator(".filters [role=status]")
    assert visible.count() == len(rows)
    page.get_by_label("Rows with").fill("CONV2D float32")
    wanted = [row for row in rows if "conv2d" in row.operation and row.dtype == "float32"]
    assert 0 < visible.count() == len(wanted) < len(rows)
    assert status.inner_text() == f"{len(wanted)} of {len(rows)} rows"
    page.get_by_label("gradients").uncheck()
    wanted = [row for row in wanted if row.kind == "value"]
    assert visible.count() == len(wanted)
    page.get_by_label("Rows with").fill("no such row")
    assert visible.count() == page.locator("tr.group:visible").count() == 0
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function(
        "(text) => document.querySelector('[role=status]').textContent === text", arg=f"{len(rows)} rows"
    )
    assert visible.count() == len(rows)
    for name in ("equal", "rounding", "unsupported", "missing", "crashed"):
        page.locator(f"input[name=verdict][value={name}]").uncheck()
    different = [
        row for row, cells in matrix.cells().items() if any(c.verdict == REAL_DIFFERENCE for c in cells.values())
    ]
    assert 0 < visible.count() == len(different) < len(rows)
    shown = page.locator(".matrix button.cell:visible")
    assert shown.count() == page.locator(".matrix .cell.real-difference").count()
    # the keyboard enters at a cell that is to be seen
    assert page.locator(".matrix button[tabindex='0']:visible").count() == 1


def test_a_click_opens_a_cell_and_closing_returns_to_it(opened, matrix):
    page = opened.page
    key, (left, _), cell = cell_of(matrix, REAL_DIFFERENCE)
    button = page.locator(f"#cell-{key}")
    button.click()
    assert opened.is_open()
    assert f"{left} against the exact result" in opened.heading()
    assert words.command(matrix, cell.worst) in page.inner_text("#case")
    assert cell.worst.reason in page.inner_text(".comparisons")
    page.get_by_role("button", name="Close").click()
    assert not opened.is_open()
    assert opened.focused() == f"cell-{key}"
    button.click()
    page.mouse.click(20, 300)  # beside the panel
    assert not opened.is_open()
    page.locator(".failures button").first.click()
    assert opened.is_open()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('.failures button')")


def test_the_keyboard_reaches_and_opens_every_cell(opened, matrix):
    page = opened.page
    page.emulate_media(reduced_motion="reduce")  # or it is still on its way when it is looked at
    page.get_by_role("button", name="Show all").focus()
    page.keyboard.press("Tab")
    assert opened.focused() == "cell-0-0"
    page.keyboard.press("ArrowRight")
    assert opened.focused() == "cell-0-1"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("End")
    last = opened.focused()
    page.keyboard.press("ArrowRight")
    assert opened.focused() == last
    page.keyboard.press("Home")
    assert opened.focused() == "cell-0-0"
    page.keyboard.press("ArrowUp")
    assert opened.focused() == "cell-0-0"
    reached = [opened.focused()]
    for _ in range(1, len(matrix.cells())):
        page.keyboard.press("ArrowDown")
        reached.append(opened.focused())
    assert reached == [f"cell-{row}-0" for row in range(len(matrix.cells()))]
    # where the sticky heads do not cover it
    page.keyboard.press("Control+Home")
    assert page.evaluate(
        """(() => {
            const box = document.activeElement.getBoundingClientRect();
            return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === document.activeElement;
        })()"""
    )
    page.keyboard.press("Enter")
    assert opened.is_open()
    assert page.evaluate("document.getElementById('panel').contains(document.activeElement)")
    page.keyboard.press("Escape")
    assert not opened.is_open()
    assert opened.focused() == "cell-0-0"
    page.keyboard.press("Tab")  # one step out of the grid
    assert not opened.focused().startswith("cell-")


def test_the_heat_map_shows_what_was_judged(opened, matrix):
    page, seen = opened.page, set()
    for index, (row, cells) in enumerate(data.cells_in_order(matrix).items()):
        for pair, cell in cells.items():
            worst, oracle = cell.worst, pair[1] == ORACLE
            if cell.verdict != ROUNDING or (row.operation, row.dtype, oracle) in seen:
                continue
            seen.add((row.operation, row.dtype, oracle))
            page.locator(f"#cell-{index}-{matrix.pairs.index(pair)}").click()
            # the plane with the largest fraction is the one that is shown first
            shown = [float(text) for text in page.locator(".heat td").all_inner_texts() if text not in ("<.01", "≠")]
            assert max(shown) == float(f"{worst.fraction:.2g}")
            terms, texts = (page.locator(f".element {tag}").all_inner_texts() for tag in ("dt", "dd"))
            element = dict(zip(terms, texts))
            detail = matrix.details[worst.case, worst.result]
            place = tuple(int(n) for n in element["element"].split("[")[1].rstrip("]").split(","))
            for name in pair:
                if name != ORACLE:
                    assert detail.outputs[name].dtype.type(element[name]) == detail.outputs[name][place]
            assert float(element["exact result"]) == float(detail.value[place])
            bound = detail.bound[place] * (1 if oracle else 2)
            assert float(element["bound"]) == float(f"{bound:.3g}")
            right = detail.value if oracle else detail.outputs[pair[1]].astype(np.longdouble)
            difference = abs(float(detail.outputs[pair[0]].astype(np.longdouble)[place] - right[place]))
            assert float(element["difference"]) == pytest.approx(difference, rel=0.01)
            page.keyboard.press("Escape")
    assert {("conv2d", dtype, oracle) for dtype in ("float32", "float64") for oracle in (True, False)} <= seen


def results_with_channels(matrix):
    """Find the cells of NumPy whose worst result has channels of more than one row and column."""
    for index, found in enumerate(data.cells_in_order(matrix).values()):
        cell = found["numpy", ORACLE]
        detail = matrix.details.get((cell.worst.case, cell.worst.result))
        if detail is not None:
            axes = data.axes(matrix.cases[cell.worst.case], cell.worst.result, detail.value.ndim)
            shape = dict(zip(axes, detail.value.shape))
            if shape.get("C", 1) > 1 and shape["H"] > 1 < shape["W"]:
                yield index, cell, axes, shape


def test_planes_are_chosen_and_walked(opened, matrix):
    page = opened.page
    index, cell, axes, shape = next(results_with_channels(matrix))
    page.locator(f"#cell-{index}-0").click()
    channel = page.locator("#case .choices").first.get_by_label("channel")
    chosen = shape["C"] - 1
    channel.select_option(str(chosen))
    place = dict.fromkeys(axes, 0) | {"C": chosen}
    image = page.locator("#case .choices").first.get_by_label("image")
    if image.count():
        image.select_option("0")
    page.locator(".heat td").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    place |= {"H": 1, "W": 1}
    wanted = ", ".join(str(place[axis]) for axis in axes)
    assert page.locator(".element dd").first.inner_text() == f"{cell.worst.result}[{wanted}]"
    # the same element is marked in every figure of the result
    assert page.locator("#case .figures").first.locator("td.marked").count() == 3


def test_every_cell_opens(opened, matrix):
    page = opened.page
    keys = page.evaluate("[...document.querySelectorAll('.matrix button.cell')].map((cell) => cell.id)")
    assert len(keys) == sum(len(cells) for cells in matrix.cells().values())
    for key in keys:
        listed = page.evaluate(
            """(key) => {
                document.getElementById(key).click();
                const buttons = [...document.querySelectorAll(".comparisons button")];
                for (const button of buttons) button.click();
                document.getElementById("panel").close();
                return buttons.length;
            }""",
            key,
        )
        assert listed > 0
    assert opened.complaints == []


def test_the_call_in_python_runs(opened, matrix):
    page, ran = opened.page, 0
    for index, (row, found) in enumerate(data.cells_in_order(matrix).items()):
        worst = found["numpy", ORACLE].worst
        if worst is None or row.dtype == "bfloat16" or (worst.case, worst.result) not in matrix.details:
            continue
        page.evaluate("(key) => document.getElementById(key).click()", f"cell-{index}-0")
        text = page.locator("#case pre").last.inner_text()
        printed = []
        exec(text, {"print": lambda *what, to=printed: to.append(what)})
        [(backend, results)] = printed
        results = results if isinstance(results, tuple) else (results,)
        result = dict(zip(matrix.cases[worst.case].results, results))[worst.result]
        assert backend == "numpy"
        np.testing.assert_array_equal(result, matrix.details[worst.case, worst.result].outputs["numpy"], strict=True)
        page.keyboard.press("Escape")
        ran += 1
    assert ran > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_its_screen(opened, matrix, width, scheme):
    page = opened.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    assert not opened.is_too_wide()
    # the matrix scrolls in its box, its heads stay
    box = page.locator(".matrix-box")
    box.evaluate("(box) => box.scrollTo(box.scrollWidth, box.scrollHeight)")
    edges = box.bounding_box()
    row_head, head = page.locator(".matrix th[scope=row]").last, page.locator(".matrix th[scope=col]").last
    assert row_head.bounding_box()["x"] - edges["x"] == pytest.approx(1, abs=1)
    assert edges["y"] <= head.bounding_box()["y"] < edges["y"] + 80
    for verdict in (REAL_DIFFERENCE, ROUNDING, MISSING):
        key, *_ = cell_of(matrix, verdict)
        page.locator(f"#cell-{key}").click()
        assert not opened.is_too_wide()
        assert page.locator("#panel").bounding_box()["width"] <= width
        page.keyboard.press("Escape")
    assert page.evaluate("getComputedStyle(document.getElementById('panel')).animationName") == "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(opened, scheme):
    page = opened.page
    page.emulate_media(color_scheme=scheme)
    ratios = page.evaluate(
        """() => {
            const shine = (channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
            const light = (colour) => {
                const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((n) => shine(n / 255));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            return Object.fromEntries([...document.querySelectorAll(".legend .cell")].map((cell) => {
                const style = getComputedStyle(cell);
                const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x);
                return [cell.className, (a + 0.05) / (b + 0.05)];
            }));
        }"""
    )
    assert len(ratios) == 6
    assert min(ratios.values()) >= 4.5, ratios
