"""The page's bias and channels in a real browser: typed, linked to, wrong, by keyboard, in both languages."""

from __future__ import annotations

import re

import numpy as np
import pytest

import convbridge

CHINESE = re.compile(r"[\u3400-\u9fff]")


@pytest.fixture
def layer(unopened):
    unopened.load("#layer-bias")
    return unopened


def numbers(grids):
    return np.array(grids, float)


def test_the_bias_is_added_to_the_output(layer):
    assert layer.grids("Output") == [[["19.5", "25.5"], ["37.5", "43.5"]]]
    sentences = []
    for _ in range(4):
        sentences.append(layer.sentence())
        layer.press("Next")
    assert sentences[0] == "0×0 + 1×1 + 3×2 + 4×3 + 0.5 = 19.5"
    assert sentences[3] == "4×0 + 5×1 + 7×2 + 8×3 + 0.5 = 43.5"
    assert layer.section.locator("table[aria-label=Bias] td.lit").count() == 1


def test_a_bias_is_typed_and_linked_to(layer):
    cell = layer.section.get_by_label("Bias", exact=True).locator("input")
    cell.fill("-1/4")
    assert layer.grids("Output") == [[["18.75", "24.75"], ["36.75", "42.75"]]]
    assert layer.sentence() == "0×0 + 1×1 + 3×2 + 4×3 + (−0.25) = 18.75"
    assert layer.section.locator(".changed").is_visible()
    assert layer.hash() == "#layer-bias&b=-0.25"
    layer.page.reload()
    assert layer.grids("Output") == [[["18.75", "24.75"], ["36.75", "42.75"]]]
    cell.fill("much")
    assert layer.problem() == (
        "Bias must be a number: 2, −0.5, 1/9, nan, inf. Given: much. The last number still counts."
    )
    assert layer.grids("Output") == [[["18.75", "24.75"], ["36.75", "42.75"]]]
    layer.press("Back to the example")
    assert layer.problem() == ""
    assert layer.hash() == "#layer-bias"


def test_a_bias_comes_and_goes(opened):
    """Also in an example that has none; pooling has none at all."""
    box = opened.controls().get_by_label("added to the sum")
    assert not box.is_checked()
    assert opened.grids("Bias") == []
    box.check()
    assert opened.grids("Bias") == [[["0"]]]
    assert opened.sentence() == "0×0 + 1×1 + 3×2 + 4×3 + 0 = 19"
    opened.controls().get_by_label("Operation").select_option("max")
    assert opened.grids("Bias") == []
    assert box.count() == 0
    assert opened.sentence() == "max(0, 1, 3, 4) = 4"
    opened.go("#layer-bias&b=none")
    assert opened.grids("Bias") == []
    assert opened.grids("Output") == [[["19", "25"], ["37", "43"]]]


def test_channels_are_added_and_dropped(layer):
    """Every grid of several channels can be made from one, and equals the library."""
    controls = layer.controls()
    controls.get_by_label("Number of channels, input").fill("2")
    controls.get_by_label("Number of channels, output").fill("3")
    assert np.shape(layer.grids("Input")) == (2, 3, 3)
    assert np.shape(layer.grids("Kernel")) == (6, 2, 2)
    assert layer.grids("Bias") == [[["0.5"]], [["0"]], [["0"]]]
    layer.section.get_by_label("Input, channel 1, row 0, column 0", exact=True).fill("7")
    layer.section.get_by_label("Kernel 2, channel 1, row 1, column 1", exact=True).fill("-4")
    layer.section.get_by_label("Bias 2", exact=True).locator("input").fill("10")
    X, K, b = (numbers(layer.grids(name)) for name in ("Input", "Kernel", "Bias"))
    wanted = convbridge.conv2d(X[None], K.reshape(3, 2, 2, 2), b.ravel(), backend="numpy")[0]
    np.testing.assert_array_equal(numbers(layer.grids("Output")), wanted)
    link = layer.hash()
    assert "b=0.5,0,10" in link
    layer.load(link)
    np.testing.assert_array_equal(numbers(layer.grids("Output")), wanted)
    layer.controls().get_by_label("Number of channels, input").fill("1")
    controls.get_by_label("Number of channels, output").fill("2")
    wanted = convbridge.conv2d(X[None, :1], K.reshape(3, 2, 2, 2)[:2, :1], b.ravel()[:2], backend="numpy")[0]
    np.testing.assert_array_equal(numbers(layer.grids("Output")), wanted)
    assert layer.problem() == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "Number of channels must be a whole number of at least 1. Given: 0."),
        ("two", "Number of channels must be a whole number of at least 1. Given: two."),
        ("9", "Number of channels can be at most 8 on this page. Given: 9."),
    ],
)
def test_a_wrong_number_of_channels_is_said(layer, text, message):
    field = layer.controls().get_by_label("Number of channels, output")
    field.fill(text)
    assert layer.problem() == message
    assert layer.grids("Output") == [[["19.5", "25.5"], ["37.5", "43.5"]]]
    layer.page.get_by_role("button", name="中文").click()
    assert layer.problem() == ""
    field = layer.controls().get_by_label("通道数, 输出")
    field.fill(text)
    assert CHINESE.search(layer.problem())


@pytest.mark.parametrize("part", ["b=x", "b=1,2,3,4,5,6,7,8,9", "b="])
def test_a_damaged_bias_in_a_link_is_said(layer, part):
    layer.go(f"#layer-bias&{part}")
    assert part.rstrip("=") in layer.problem()
    assert layer.grids("Output") == [[["19.5", "25.5"], ["37.5", "43.5"]]]


def test_the_keyboard_reaches_and_changes_bias_and_channels(layer):
    page = layer.page
    layer.section.get_by_label("Kernel, row 0, column 0", exact=True).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Bias"
    page.keyboard.type("2")
    assert layer.value() == "21"
    layer.controls().get_by_label("Number of channels, output").focus()
    page.keyboard.press("ArrowUp")
    assert np.shape(layer.grids("Output")) == (2, 2, 2)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert layer.grids("Bias") == []


def test_the_layer_s_source_is_shown(unopened, page_run):
    unopened.load("#layer-bias")
    for one in page_run.participants:
        if one.problem:
            continue
        pane = unopened.section.locator(f".pane[data-backend={one.name}]")
        shown = dict(
            pane.locator("code[data-source]").evaluate_all("(all) => all.map((x) => [x.dataset.source, x.textContent])")
        )
        assert list(shown) == ["chapter.Conv2D", "layers.Conv2D", "ops.conv2d"]
        assert re.search(r"return .*weight.* \+ self\.bias|broadcast_add\(", shown["chapter.Conv2D"])
        assert "class Conv2D(" in shown["layers.Conv2D"]
