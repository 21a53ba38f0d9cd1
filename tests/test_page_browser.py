"""The chapters' page in a real browser: by link, by mouse, by keyboard, in both languages and three widths.

In every test nothing but the file itself is asked for, and nothing is complained of.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from page_browser import SECTION

import convbridge
from convbridge import registry
from convbridge.teaching import page as pages
from convbridge.teaching.examples import EXAMPLES
from convbridge.teaching.page.sections import SECTIONS

NAMES = [example.name for example in EXAMPLES]
WITH_FRAMEWORKS = [section for section in SECTIONS if section.examples or section.component == "learning"]

#: The sentence under the first window, where the book or a hand computes it.
SENTENCES = {
    "layer-bias": "0×0 + 1×1 + 3×2 + 4×3 + 0.5 = 19.5",
    "layer-bias-channels": "(0×0 + 1×1 + 3×2 + 4×3) + (1×1 + 2×2 + 4×3 + 5×4) + 0.5 = 56.5",
    "corr2d": "0×0 + 1×1 + 3×2 + 4×3 = 19",
    "convolution": "0×3 + 1×2 + 3×1 + 4×0 = 5",
    "padding": "0×0 + 0×1 + 0×2 + 0×3 = 0",
    "padding-stride": "0×0 + 0×1 + 0×2 + 0×3 = 0",
    "edges-vertical": "1×1 + 1×(−1) = 0",
    "channels-in": "(0×0 + 1×1 + 3×2 + 4×3) + (1×1 + 2×2 + 4×3 + 5×4) = 56",
    "pool-max": "max(0, 1, 3, 4) = 4",
    "pool-avg": "(0 + 1 + 3 + 4) / 4 = 2",
    "pool-layer-negative": "max(−∞, −∞, −∞, −∞, −20, −19, −∞, −16, −15) = −15",
}


# --------------------------------------------------------------------------- the examples


def check_panes(opened, run, comparison):
    """Compare the sources, the outputs and the verdict in the panes with the run."""
    assert opened.section.locator(".pane").count() == len(run.participants)
    for one in comparison.runs:
        pane = opened.section.locator(f".pane[data-backend={one.backend}]")
        blocks = pane.locator("code[data-source]").evaluate_all(
            "(blocks) => blocks.map((block) => [block.dataset.source, block.textContent])"
        )
        assert len(blocks) >= 1
        assert all(text == run.sources[one.backend][name] for name, text in blocks)
        calls = pane.locator(".call code").all_inner_texts()
        assert [text.strip().removeprefix(">>> ") for text in calls] == [result.call for result in one.results]
        for text, result in zip(pane.locator(".call samp").all_text_contents(), one.results, strict=True):
            numbers = np.array([float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", text)])
            np.testing.assert_allclose(numbers, result.output.ravel(), rtol=6e-4)
    verdict = opened.section.locator(".verdict")
    assert verdict.get_attribute("data-kind") == comparison.kind
    if comparison.kind == "equal":
        count = len(comparison.runs) * len(comparison.example.calls)
        assert f"All {count} results hold the same numbers" in verdict.inner_text()
    else:
        assert "of what rounding can explain" in verdict.inner_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_link_leads_to_its_example(unopened, page_run, name):
    opened = unopened
    opened.load(f"#{name}")
    comparison = next(one for one in page_run.comparisons if one.example.name == name)
    output = comparison.runs[0].results[-1].output
    shown = opened.outputs()
    wanted = output.reshape((1,) * (3 - output.ndim) + output.shape)
    assert shown.shape == wanted.shape
    whole = bool((wanted == np.rint(wanted)).all())
    assert np.allclose(shown.astype(float), wanted, rtol=0, atol=0 if whole else 0.006)
    height, width = output.shape[-2:]
    assert opened.section.locator(".size .result").inner_text() == f"Size of the output: {height} × {width}"
    formulas = opened.section.locator(".formula dd").all_inner_texts()
    for formula, count in zip(formulas, (height, width), strict=True):
        numbers = [int(number) for number in re.search(r"= ⌊\((.*)\) / (\d+)⌋ = (\d+)", formula).group(2, 3)]
        n, k, p, s = (int(number) for number in re.findall(r"\d+", formula)[:4])
        assert [(n - k + p + s) // s, numbers[1]] == [count, count]
        assert numbers[0] == s
    if name in SENTENCES:
        assert opened.sentence() == SENTENCES[name]
    alone = sum(section == SECTION[name] for section in SECTION.values()) == 1  # then there is nothing to choose
    assert opened.section.locator(".examples a[aria-current]").count() == (0 if alone else 1)
    check_panes(opened, page_run, comparison)
    assert opened.section.is_visible()


def test_the_stepper_goes_through_the_windows(opened):
    values, windows = [], []
    for _ in range(4):
        values.append(int(opened.value()))
        windows.append(opened.lit())
        assert opened.sentence().endswith(f"= {values[-1]}")
        opened.press("Next")
    assert values == [19, 25, 37, 43]
    assert windows[0] == ["0,0", "0,1", "1,0", "1,1"]
    assert windows[3] == ["1,1", "1,2", "2,1", "2,2"]
    assert opened.value() == "19"  # after the last comes the first
    opened.press("Back")
    assert opened.value() == "43"
    opened.press("First")
    assert opened.value() == "19"
    opened.press("Last")
    assert opened.value() == "43"
    assert opened.section.locator(".where").inner_text() == "Window 4 of 4"


def test_playing_stops_at_the_end(opened):
    opened.section.get_by_label("Speed").select_option("4")
    opened.page.evaluate(
        """() => {
            const sum = document.querySelector("#section-cross-correlation .sum");
            window.seen = [];
            const note = () => window.seen.push(sum.textContent.split("= ")[1]);
            new MutationObserver(note).observe(sum, { childList: true });
        }"""
    )
    opened.press("Play")
    assert opened.section.get_by_role("button", name="Pause").count() == 1
    opened.section.get_by_role("button", name="Pause").wait_for(state="detached")
    assert opened.page.evaluate("window.seen") == ["25", "37", "43"]
    opened.page.wait_for_timeout(600)
    assert opened.value() == "43"
    opened.page.evaluate("window.seen = []")
    opened.press("Play")
    opened.press("Pause")
    assert opened.page.evaluate("window.seen[0]") == "19"  # from the start again


def test_pointing_lights_windows_and_outputs(opened):
    opened.section.locator(".outputs td").nth(3).hover()
    assert opened.lit() == ["1,1", "1,2", "2,1", "2,2"]
    assert opened.sentence() == "4×0 + 5×1 + 7×2 + 8×3 = 43"
    opened.section.locator("h2").hover()
    assert opened.lit() == ["0,0", "0,1", "1,0", "1,1"]
    fed = ".outputs td.fed"
    opened.section.get_by_label("Input, row 1, column 1").hover()
    assert opened.section.locator(fed).count() == 4
    assert opened.section.locator(".feeds").inner_text() == "Input, row 1, column 1: feeds 4 outputs."
    opened.section.get_by_label("Input, row 0, column 2").focus()
    assert opened.section.locator(fed).evaluate_all("(cells) => cells.map((cell) => cell.dataset.at)") == ["0,1"]
    opened.section.locator(".outputs td").nth(2).focus()
    assert opened.lit() == ["1,0", "1,1", "2,0", "2,1"]


def test_the_keyboard_alone_does_it_all(opened):
    page = opened.page
    page.locator(".skip-link").focus()
    page.keyboard.press("Enter")
    page.evaluate("document.querySelector('#section-cross-correlation .prose').scrollIntoView()")

    def focused():
        return page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")

    reached = []
    page.locator(".contents a").last.focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(focused())
        if page.evaluate("document.activeElement.matches('.copy')"):
            break
        if focused() == "Make it yours":
            page.keyboard.press("Enter")
    assert reached[:3] == ["Input, row 0, column 0", "Kernel, row 0, column 0", "Output, row 0, column 0: 19"]
    wanted = ["First", "Back", "Play", "Next", "Last", "Make it yours", "Operation", "Padding", "Back to the example"]
    assert [label for label in reached if label in wanted] == wanted
    for label in ("Stride, height", "Dilation, width", "Input size, height", "Kernel size, width", "Padding, top"):
        assert label in reached, reached
    # the arrows in the grids and in the stepper
    opened.section.get_by_label("Input, row 0, column 0").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert focused() == "Input, row 1, column 1"
    page.keyboard.type("10")
    assert opened.grids("Output") == [[["37", "37"], ["43", "43"]]]
    opened.section.get_by_label("Output, row 0, column 0").focus()
    page.keyboard.press("ArrowDown")
    assert opened.value() == "43"
    opened.section.get_by_role("button", name="First").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert opened.section.locator(".where").inner_text() == "Window 3 of 4"
    page.keyboard.press("End")
    assert opened.section.locator(".where").inner_text() == "Window 4 of 4"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    opened.controls().get_by_label("Stride, height").focus()
    page.keyboard.press("ArrowUp")
    assert opened.grids("Output") == [[["37", "37"]]]
    opened.section.get_by_role("button", name="Back to the example").focus()
    page.keyboard.press("Enter")
    assert opened.grids("Output") == [[["19", "25"], ["37", "43"]]]


def test_the_tab_key_reaches_every_control(opened):
    page = opened.page
    tabbing = page.evaluate_handle(
        """() => {
            const any = "a[href], button, input, select, textarea, summary, [tabindex]";
            const all = [...document.querySelectorAll(any)].filter((one) => one.checkVisibility() && !one.disabled);
            const stops = all.filter((one) => one.tabIndex >= 0);
            const left = new Set(stops);
            document.addEventListener("focusin", (event) => left.delete(event.target));
            return { all, stops, left };
        }"""
    )
    count = tabbing.evaluate("({ stops }) => stops.length")
    assert count > 200  # the fewest, if one backend alone is installed
    page.locator(".skip-link").focus()
    for _ in range(count):
        page.keyboard.press("Tab")
    assert tabbing.evaluate("({ left }) => [...left].map((one) => one.outerHTML)") == []
    # what the key passes over is in a table with one stop, and the arrow keys go on from there
    lost = """({ all, stops }) => {
        const stopsIn = (table) => stops.filter((stop) => table?.contains(stop)).length;
        const passed = all.filter((one) => one.tabIndex < 0 && !one.matches(".box")); // which only scrolls
        return passed.filter((one) => stopsIn(one.closest("table")) !== 1).map((one) => one.outerHTML);
    }"""
    assert tabbing.evaluate(lost) == []


# --------------------------------------------------------------------------- making it one's own


def test_everything_can_be_changed_and_equals_the_library(opened):
    controls = opened.controls()
    controls.get_by_label("Input size, height").fill("5")
    controls.get_by_label("Input size, width").fill("4")
    opened.section.get_by_label("Input, row 4, column 3", exact=True).fill("-2.5")
    controls.get_by_label("Kernel size, width").fill("3")
    opened.section.get_by_label("Kernel, row 1, column 2", exact=True).fill("1/2")
    X, K = (np.array(opened.grids(name)[0]) for name in ("Input", "Kernel"))
    K[K == "1/2"] = "0.5"
    X, K = X.astype(float), K.astype(float)
    assert X.shape == (5, 4)
    assert K.tolist() == [[0, 1, 0], [2, 3, 0.5]]

    def shown():
        [output] = opened.grids("Output")
        return np.array([[float(text.replace("∞", "inf")) for text in row] for row in output])

    np.testing.assert_array_equal(shown(), convbridge.corr2d(X, K))
    controls.get_by_label("Stride, width").fill("2")
    for side, number in (("top", 1), ("bottom", 0), ("left", 2), ("right", 1)):
        controls.get_by_label(f"Padding, {side}").fill(str(number))
    four = [X[None, None], K[None, None]]
    wanted = convbridge.conv2d(*four, stride=(1, 2), padding=((1, 0), (2, 1)))[0, 0]
    np.testing.assert_array_equal(shown(), wanted)
    for word in ("valid", "same", "same_upper", "same_lower", "chapter"):
        controls.get_by_label("Padding", exact=True).select_option(word)
        np.testing.assert_array_equal(shown(), convbridge.conv2d(*four, stride=(1, 2), padding=word)[0, 0])
    controls.get_by_label("Dilation, height").fill("2")
    wanted = convbridge.conv2d(*four, stride=(1, 2), padding="chapter", dilation=(2, 1))[0, 0]
    np.testing.assert_array_equal(shown(), wanted)
    controls.get_by_label("Operation").select_option("convolve")
    flipped = convbridge.conv2d(four[0], four[1][..., ::-1, ::-1], stride=(1, 2), padding="chapter", dilation=(2, 1))
    np.testing.assert_array_equal(shown(), flipped[0, 0])
    assert opened.grids("Kernel, flipped") == [[["0.5", "3", "2"], ["0", "1", "0"]]]
    options = {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "backend": "numpy"}
    controls.get_by_label("Padding", exact=True).select_option("numbers")
    controls.get_by_label("Dilation, height").fill("1")
    controls.get_by_label("Stride, height").fill("2")
    for side in ("top", "bottom", "left", "right"):
        controls.get_by_label(f"Padding, {side}").fill("1")
    controls.get_by_label("Operation").select_option("max")
    np.testing.assert_array_equal(shown(), convbridge.pool2d(X, (2, 3), "max", **options))
    controls.get_by_label("Ceil mode").check()
    np.testing.assert_array_equal(shown(), convbridge.pool2d(X, (2, 3), "max", ceil_mode=True, **options))
    controls.get_by_label("Operation").select_option("avg")
    controls.get_by_label("Padding counts").uncheck()
    wanted = convbridge.pool2d(X, (2, 3), "avg", ceil_mode=True, count_include_pad=False, **options)
    np.testing.assert_allclose(shown(), wanted, atol=0.006)
    assert opened.section.locator(".changed").is_visible()
    assert opened.problem() == ""


def test_dropped_rows_are_grey(opened):
    opened.controls().get_by_label("Stride, height").fill("2")
    grey = opened.section.locator(".grids td.dropped").evaluate_all("(cells) => cells.map((cell) => cell.dataset.at)")
    assert grey == ["2,0", "2,1", "2,2"]
    assert "1 of the rows and 0 of the columns" in opened.section.locator(".size").inner_text()


def test_wrong_input_is_said_and_the_page_goes_on(opened):
    controls = opened.controls()
    stride = controls.get_by_label("Stride, height")
    for text in ("0", "-1", "1.5", "two", ""):
        stride.fill(text)
        assert opened.problem().startswith("Stride must be a whole number of at least 1."), text
        assert stride.get_attribute("aria-invalid") == "true"
        assert opened.grids("Output") == [[["19", "25"], ["37", "43"]]]
    stride.fill("1")
    assert opened.problem() == ""
    assert stride.get_attribute("aria-invalid") is None
    cell = opened.section.get_by_label("Input, row 0, column 0", exact=True)
    cell.fill("many")
    assert "Input, row 0, column 0 must be a number" in opened.problem()
    assert "Given: many." in opened.problem()
    assert opened.grids("Output") == [[["19", "25"], ["37", "43"]]]
    cell.fill("<img src=x onerror=alert(1)>")
    assert "<img" in opened.problem()
    cell.fill("-inf")
    assert opened.problem() == ""
    assert opened.grids("Output") == [[["NaN", "25"], ["37", "43"]]]  # minus infinity times zero
    cell.fill("0")
    controls.get_by_label("Kernel size, height").fill("4")
    assert opened.problem() == "The window does not fit: along the height it spans 4, the padded input only 3."
    assert opened.grids("Output") == []
    opened.press("Next")
    controls.get_by_label("Padding, top").fill("1")
    assert opened.problem() == ""
    assert np.shape(opened.grids("Output")) == (1, 1, 2)
    controls.get_by_label("Input size, width").fill("99")
    assert "at most 16" in opened.problem()
    controls.get_by_label("Operation").select_option("max")
    controls.get_by_label("Padding, top").fill("5")
    assert "must be smaller than the pooling window (4)" in opened.problem()
    opened.press("Back to the example")
    assert opened.problem() == ""
    assert opened.grids("Output") == [[["19", "25"], ["37", "43"]]]


# --------------------------------------------------------------------------- links


def test_a_link_keeps_the_state(opened):
    controls = opened.controls()
    opened.section.get_by_label("Input, row 0, column 0", exact=True).fill("nan")
    opened.section.get_by_label("Kernel, row 0, column 0", exact=True).fill("0.1")
    controls.get_by_label("Padding", exact=True).select_option("same_lower")
    controls.get_by_label("Stride, width").fill("2")
    opened.press("Next")
    opened.page.get_by_role("button", name="中文").click()
    before = opened.page.locator("#section-cross-correlation .grids").inner_html()
    sentence = opened.sentence()
    link = opened.hash()
    assert link == "#corr2d&x=nan,1,2;3,4,5;6,7,8&k=0.1,1;2,3&s=1,2&p=same_lower&step=2&lang=zh"
    opened.page.reload()
    assert opened.page.locator("#section-cross-correlation .grids").inner_html() == before
    assert opened.sentence() == sentence
    opened.load(link.replace(";", "%3B"))
    assert opened.page.locator("#section-cross-correlation .grids").inner_html() == before
    opened.load(link.replace("&lang=zh", ""))
    assert opened.sentence() == sentence
    assert opened.grids("Input")[0][0] == ["0"] * 4  # same_lower pads a row at the top and a column at the left
    # a state without anything of its own needs no more than the name
    opened.press("Back to the example")
    assert opened.hash() == "#corr2d"


@pytest.mark.parametrize("link", ["#pool-avg&op=avg&ceil=1&counted=0&s=2,2&p=1,1,1,1", "#channels-out&step=7&d=1,1"])
def test_other_links(opened, link):
    opened.go(link)
    assert opened.problem() == ""
    opened.press("Next")
    assert opened.hash().startswith(link.split("&")[0])
    if "pool" in link:
        assert "ceil=1" in opened.hash()
        assert opened.controls().get_by_label("Ceil mode").is_checked()
    else:
        assert opened.value() == "172"


@pytest.mark.parametrize(
    "part", ["x=1,2;3", "s=1", "s=0,b", "p=sam", "op=sum", "step=x", "nothing", "k=1~2~~3", "lang=xx", "ceil=2", "%"]
)
def test_a_damaged_link_is_said(opened, part):
    opened.go(f"#corr2d&{part}")
    assert part in opened.problem()
    assert opened.grids("Output") == [[["19", "25"], ["37", "43"]]]


def test_a_link_to_the_impossible_is_said(opened):
    opened.go("#corr2d&s=0,1")
    assert "Stride must be a whole number" in opened.problem()
    assert opened.grids("Output") == []
    opened.controls().get_by_label("Stride, height").fill("1")
    assert opened.problem() == ""
    opened.go("#corr2d&k=" + ";".join([",".join("1" * 9)] * 9))
    assert "does not fit" in opened.problem()
    opened.go("#corr2d&step=99")
    assert opened.value() == "43"


def test_links_inside_of_the_page_work(opened):
    opened.section = opened.page.locator("#section-edges")
    for name in ("Image alone transposed: nothing", "A diagonal line"):
        opened.follow(name)
    assert opened.hash() == "#edges-diagonal"
    assert opened.outputs()[0][0].tolist() == ["1", "0", "0", "0", "0", "0", "0"]
    opened.page.go_back()
    opened.current("Image alone transposed: nothing")
    opened.page.get_by_role("link", name="Pooling").click()
    assert opened.page.locator("#section-pooling h2").is_visible()


def test_a_link_whose_event_is_late_is_not_written_over(unopened):
    unopened.page.add_init_script(
        """const add = window.addEventListener;
        window.addEventListener = (kind, listener) =>
            add(kind, kind === "hashchange" ? () => setTimeout(listener, 500) : listener);"""
    )
    unopened.load("#corr2d")
    unopened.controls().get_by_label("Stride, height").fill("2")  # soon written into the address bar
    unopened.go("#padding")
    assert unopened.hash() == "#padding"
    assert unopened.outputs().shape == (1, 4, 4)


# --------------------------------------------------------------------------- languages and looks


VISIBLE = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest("script, style, noscript, [translate=no]")) continue;
    found.push(node.textContent.trim());
  }
  for (const element of document.querySelectorAll("[aria-label], [title]")) {
    if (element.closest("[translate=no]")) continue;
    found.push(element.getAttribute("aria-label") ?? element.title);
  }
  return found;
}"""
CHINESE = re.compile(r"[\u3400-\u9fff]")
#: What needs no translation: numbers, mathematics, names.
NEUTRAL = re.compile(
    r"^[^A-Za-z]*$|^(max\(.*|NaN|⌊.*|(numpy|torch|tensorflow|mxnet)(, .*)?|convbridge( page)?|(ops|layers)\.\w+)$"
)


def test_no_text_is_left_in_the_other_language(opened):
    page = opened.page
    opened.open_all()
    english = page.evaluate(VISIBLE)
    assert len(english) > 1000  # the fewest, if one backend alone is installed
    assert [text for text in english if CHINESE.search(text)] == []
    page.get_by_role("button", name="中文").click()
    chinese = page.evaluate(VISIBLE)
    untranslated = [text for text in chinese if not CHINESE.search(text) and not NEUTRAL.match(text)]
    assert untranslated == []
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert CHINESE.search(page.title())
    page.get_by_role("button", name="English").click()
    assert page.evaluate(VISIBLE) == english
    assert page.evaluate("document.documentElement.lang") == "en"


def test_a_chinese_browser_gets_chinese(browser, page_address):
    page = browser.new_page(locale="zh-CN")
    page.goto(page_address)
    assert CHINESE.search(page.inner_text("h1"))
    page.goto("about:blank")
    page.goto(page_address + "#corr2d&lang=en")
    assert not CHINESE.search(page.inner_text("h1"))
    page.close()


def test_messages_are_in_the_chosen_language(opened):
    opened.page.get_by_role("button", name="中文").click()
    opened.section.locator(".grids input").first.fill("x")
    assert CHINESE.search(opened.problem())


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_no_page_is_wider_than_its_screen(opened, width):
    page = opened.page
    page.set_viewport_size({"width": width, "height": 800})
    opened.open_all()
    for language in ("English", "中文"):
        page.get_by_role("button", name=language, exact=True).click()
        assert not opened.too_wide()
    for name in ("layer-padding-rectangle", "pool-layer-channels", "channels-out", "edges-diagonal"):
        opened.go(f"#{name}")
        assert not opened.too_wide()
    opened.go("#corr2d")
    panes, installed = opened.section.locator(".pane:visible"), len(registry.BUILTIN)
    assert panes.count() == (installed if width >= 960 else 1)
    if width == 1920:
        assert len({round(pane.bounding_box()["y"]) for pane in panes.all()}) == 1


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_number_is_wider_than_its_cell(opened, width):
    opened.page.set_viewport_size({"width": width, "height": 800})
    cells = opened.page.locator(".grids .grid td:visible")
    assert cells.count() > 300
    clipped = cells.evaluate_all(
        """(cells) => cells.map((cell) => cell.querySelector("input") ?? cell)
            .filter((one) => one.scrollWidth > one.clientWidth)
            .map((one) => `${one.closest("section").id}: ${one.value ?? one.textContent}`)"""
    )
    assert clipped == []


def test_tabs_are_the_same_everywhere(opened):
    page = opened.page
    page.set_viewport_size({"width": 360, "height": 800})
    opened.section.get_by_role("button", name="torch", exact=True).click()
    assert page.locator(".pane:visible").evaluate_all("(panes) => panes.map((pane) => pane.dataset.backend)") == [
        "torch"
    ] * len(WITH_FRAMEWORKS)
    assert page.locator("[data-tab=torch][aria-pressed=true]").count() == len(WITH_FRAMEWORKS)


def test_text_stands_out_from_what_is_behind_it(opened):
    for scheme in ("light", "dark"):
        opened.page.emulate_media(color_scheme=scheme)
        opened.go("#padding-stride")
        opened.section.locator(".grids input").nth(5).focus()
        ratios = opened.page.evaluate(
            """() => {
                const shine = (channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
                const light = (colour) => {
                    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((n) => shine(n / 255));
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                };
                const found = {};
                for (const cell of document.querySelectorAll(".grid td, .badge, .examples a, mark")) {
                    const style = getComputedStyle(cell);
                    const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x);
                    const ratio = (a + 0.05) / (b + 0.05);
                    const key = cell.tagName + "." + cell.className;
                    found[key] = Math.min(found[key] ?? 99, ratio);
                }
                return found;
            }"""
        )
        assert len(ratios) > 6
        assert min(ratios.values()) >= 4.5, ratios


# --------------------------------------------------------------------------- the frameworks


def test_a_missing_backend_is_shown_as_missing(browser, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(
        pages.render(pages.run(["numpy"], {"torch": "pip install 'convbridge[torch]'"}, components={})),
        encoding="utf-8",
    )
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(file.as_uri())
    pane = page.locator("#section-edges .pane[data-backend=torch]")
    assert "missing" in pane.inner_text()
    assert "pip install 'convbridge[torch]'" in pane.inner_text()
    assert pane.locator("code").count() == 0
    page.close()


def test_code_is_copied(opened):
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = opened.section.locator(".copy").first
    button.click()
    opened.page.wait_for_function("(button) => button.textContent !== 'Copy'", arg=button.element_handle())
    assert button.inner_text() in ("Copied", "Selected")
    taken = opened.page.evaluate("navigator.clipboard.readText()")
    assert taken == opened.section.locator("code[data-source]").first.text_content()


def test_it_prints(opened):
    page = opened.page
    page.emulate_media(media="print")
    assert page.locator(".stepper:visible, .controls:visible, .languages:visible").count() == 0
    assert page.locator("#section-cross-correlation .pane:visible").count() == len(registry.BUILTIN)
