"""The section of the receptive field in a browser: the picture, the editor, links, languages, looks."""

from __future__ import annotations

import re

import pytest
from page_browser import Opened

from convbridge.teaching import page as pages
from convbridge.teaching import stack
from convbridge.teaching.networks import NETWORKS, find
from convbridge.teaching.page.components import receptive_field

CHINESE = re.compile(r"[\u3400-\u9fff]")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    file, one = tmp_path_factory.mktemp("page") / "page.html", receptive_field.COMPONENT
    file.write_text(pages.render(pages.run(["numpy"], components={one.name: one})), encoding="utf-8")
    return file.as_uri()


class Section(Opened):
    """The section of the receptive field."""

    def at(self, link):
        self.section = self.page.locator("#section-receptive-field")

    def row(self, number):
        """What the list says of a layer, or of all of them."""
        row = self.section.locator(".layers tr:has(.pick)").nth(number - 1)
        return row.locator("td").all_inner_texts()

    def total(self):
        return self.section.locator(".layers .total td").all_inner_texts()[4:]

    def said(self):
        return self.section.locator(".said").inner_text()

    def text(self):
        return self.section.locator("textarea").input_value()

    def element(self):
        shown = self.section.locator(".of-map .element")
        return [int(shown.get_attribute(name)) for name in ("y", "x")]

    def box(self, kind):
        shown = self.section.locator(f".of-input .{kind}").first
        return [float(shown.get_attribute(name)) for name in ("y", "x", "height", "width")]

    def field(self, label):
        return self.section.get_by_label(label, exact=True)

    def focused(self):
        return self.page.evaluate(
            "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
        )

    def everything(self):
        """What is drawn, said and listed."""
        drawn = [one.inner_html() for one in self.section.locator(".drawing").all()]
        return drawn, self.section.inner_text(), self.text()

    def press_key(self, name):
        self.section.get_by_role("button", name=name, exact=True).focus()
        self.page.keyboard.press("Enter")

    def reach(self, label):
        """Press the tab key until something has the focus."""
        for _ in range(40):
            if self.focused() == label:
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{label} is not reached")


@pytest.fixture
def opened(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
    page.emulate_media(reduced_motion="reduce")
    watched = Section(page, address)
    watched.load("#receptive-field")
    yield watched
    page.close()
    assert watched.complaints == []
    assert {url.split("#")[0] for url in watched.requests if not url.startswith(("data:", "about:"))} == {address}


def test_the_chapters_example(opened):
    assert opened.text() == "2 * conv 2 c1"
    assert "An element of layer 2 sees 3 × 3 pixels." in opened.said()
    assert "It depends on every pixel" in opened.said()
    assert opened.row(1) == ["1 × 2 × 2", "2 × 2", "1", "0", "5", "16"]
    assert opened.row(2) == ["1 × 1 × 1", "3 × 3", "1", "0", "5", "4"]
    assert opened.total() == ["10", "20"]
    opened.press("1 conv 2 c1")
    assert "An element of layer 1 sees 2 × 2 pixels." in opened.said()


@pytest.mark.parametrize("name", [network.name for network in NETWORKS])
def test_every_network_has_its_link(opened, name):
    network = find(name)
    steps = stack.walk(stack.parse(network.layers), network.size, network.channels)
    opened.go(f"#receptive-field&network={name}")
    assert opened.problem() == ""
    assert opened.section.locator(".examples [aria-current]").get_attribute("data-network") == name
    for number, step in enumerate(steps, 1):
        output, sees, _, _, parameters, products = opened.row(number)
        assert output == " × ".join(map(str, (step.channels, *step.size)))
        assert sees == " × ".join(map(str, step.field))
        assert [parameters, products] == [f"{count:,}" for count in (step.parameters, step.multiply_adds)]
    assert opened.total()[0] == f"{sum(step.parameters for step in steps):,}"
    height, width = steps[-1].field
    assert f"An element of layer {len(steps)} sees {height} × {width} pixels." in opened.said()
    # the command that is shown returns the same, and the text is read as it was written
    command = opened.section.locator(".stack-editor pre").inner_text()
    found = re.fullmatch(r"convbridge shapes '(.*)' --input (\d+)x(\d+) --channels (\d+)", command)
    assert stack.walk(stack.parse(found[1]), (int(found[2]), int(found[3])), int(found[4]))[-1][1:] == steps[-1][1:]
    assert stack.parse(opened.text())[-1].kernel_size == steps[-1].layer.kernel_size


def test_the_element_moves_by_keyboard(opened):
    opened.go("#receptive-field&network=lenet&layer=3&at=0,0")
    assert opened.element() == [0, 0]
    assert opened.box("field") == [-2, -2, 14, 14]
    assert "Row 0, column 0 sees rows −2 to 11 and columns −2 to 11" in opened.said()
    assert "Only 144 of the 196 take part" in opened.said()
    opened.section.locator(".of-map svg").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        opened.page.keyboard.press(key)
    assert opened.element() == [1, 2]
    assert opened.box("field") == [0, 2, 14, 14]
    assert "Only" not in opened.said()
    assert opened.hash() == "#receptive-field&network=lenet&layer=3&at=1,2"
    for key in ("ArrowUp", "ArrowUp", "ArrowUp", "End", "ArrowRight"):
        opened.page.keyboard.press(key)
    assert opened.element() == [0, 9]
    opened.page.keyboard.press("PageDown")
    opened.page.keyboard.press("Home")
    assert opened.element() == [9, 0]
    assert opened.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    # or by its numbers
    opened.field("Element, row").fill("4")
    assert opened.element() == [4, 0]
    opened.field("Element, column").press("ArrowUp")
    assert opened.element() == [4, 1]
    opened.field("Element, row").fill("10")
    assert opened.problem() == "Element can be at most 9 on this page. Given: 10."
    assert opened.element() == [4, 1]


def test_the_element_moves_by_mouse(opened):
    opened.go("#receptive-field&network=vgg11")
    map_ = opened.section.locator(".of-map svg")
    map_.scroll_into_view_if_needed()
    box = map_.bounding_box()
    x, y, cell = box["x"], box["y"], box["width"] / 7
    opened.page.mouse.click(x + 0.5 * cell, y + 6.5 * cell)
    assert opened.element() == [6, 0]
    opened.page.mouse.move(x + 2.5 * cell, y + 3.5 * cell)
    assert opened.element() == [6, 0]  # nothing is pressed
    opened.page.mouse.down()
    opened.page.mouse.move(x + 4.5 * cell, y + 2.5 * cell)
    opened.page.mouse.move(x + 400, y + 2.5 * cell)
    opened.page.mouse.up()
    assert opened.element() == [2, 6]
    # on the input: the element whose field is around that pixel
    shown = opened.section.locator(".of-input svg")
    shown.scroll_into_view_if_needed()
    box = shown.bounding_box()
    opened.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert opened.element() == [3, 3]


def test_fields_of_lower_layers_lie_in_each_other(opened):
    opened.go("#receptive-field&network=alexnet")
    assert opened.section.locator(".of-input .nested").count() == 7
    boxes = opened.section.locator(".of-input .nested").evaluate_all(
        "(all) => all.map((one) => ['y', 'x', 'height', 'width'].map((name) => +one.getAttribute(name)))"
    )
    outer = opened.box("field")
    for inner in boxes:
        for axis in (0, 1):
            assert outer[axis] <= inner[axis]
            assert inner[axis] + inner[axis + 2] <= outer[axis] + outer[axis + 2]
        outer = inner
    assert boxes[-1][2:] == [11, 11]
    # the map is drawn to scale, element for element
    opened.go("#receptive-field&network=vgg11&layer=1")
    assert opened.section.locator(".of-map svg").get_attribute("viewBox") == "0 0 224 224"


def test_the_list_is_edited_by_keyboard_alone(opened):
    page = opened.page
    opened.section.locator("a[data-network=lenet]").focus()
    page.keyboard.press("Enter")
    opened.current("LeNet")
    assert opened.text().startswith("conv 5 p2 c6")
    assert opened.section.locator("a[data-network=lenet]").evaluate("(link) => link === document.activeElement")
    opened.press_key("Add a layer")
    assert opened.focused() == "Kind"
    assert opened.row(5)[0] == "16 × 5 × 5"
    for label, text in (
        ("Kernel size, height", "5"),
        ("Kernel size, width", "5"),
    ):
        opened.reach(label)
        page.keyboard.press("Control+a")
        page.keyboard.type(text)
    opened.reach("Padding, top")
    for _ in range(4):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
    opened.reach("Output channels, channels")
    page.keyboard.press("Control+a")
    page.keyboard.type("120")
    assert opened.text().endswith("avgpool 2 | conv 5 c120")
    assert opened.row(5)[0] == "120 × 1 × 1"
    assert opened.row(5)[4] == "48,120"  # as the book's first fully connected layer
    assert "It depends on every pixel" in opened.said()
    opened.press_key("Move up")
    assert opened.focused() == "Move up"
    assert opened.text().endswith("conv 5 c120 | avgpool 2")
    for _ in range(3):
        page.keyboard.press("Enter")
    assert opened.text().startswith("conv 5 c120 | conv 5 p2 c6")
    assert opened.focused() == "Move down"  # the other one would do nothing
    opened.press_key("Remove")
    assert opened.text() == "conv 5 p2 c6 | avgpool 2 | conv 5 c16 | avgpool 2"
    assert opened.focused().startswith("1")
    page.keyboard.press("Tab")
    assert opened.focused() == "Kind"
    page.keyboard.press("A")  # "Average pooling"
    assert opened.focused() == "Kind"
    assert opened.text().startswith("avgpool 5 s1 p2 | avgpool 2")
    opened.reach("Padding")
    page.keyboard.press("v")
    assert opened.text().startswith("avgpool 5 s1 pvalid")
    opened.section.get_by_label("Ceil mode").focus()
    page.keyboard.press("Space")
    assert opened.text().startswith("avgpool 5 s1 pvalid ceil")


def test_every_field_changes_the_numbers(opened):
    opened.section.locator("textarea").fill("conv 3 c4 | conv 3 c8")
    opened.press("1 conv 3 c4")
    values = {
        "Input size, height": 40,
        "Input size, width": 31,
        "Input size, channels": 6,
        "Kernel size, height": 5,
        "Stride, width": 2,
        "Padding, top": 1,
        "Padding, right": 2,
        "Dilation, height": 3,
        "Output channels, channels": 12,
        "Groups, groups": 3,
    }
    for label, value in values.items():
        opened.field(label).fill(str(value))
    assert opened.text() == "conv 5x3 s1x2 p1:0x0:2 d3x1 c12 g3 | conv 3 c8"
    steps = stack.walk(stack.parse(opened.text()), (40, 31), 6)
    for number, step in enumerate(steps, 1):
        assert opened.row(number) == [
            " × ".join(map(str, (step.channels, *step.size))),
            " × ".join(map(str, step.field)),
            *(str(a) if a == b else f"{a}, {b}".replace("-", "−") for a, b in (step.jump, step.start)),
            f"{step.parameters:,}",
            f"{step.multiply_adds:,}",
        ]
    opened.field("Padding").select_option("same")
    assert opened.text().startswith("conv 5x3 s1x2 psame d3x1")
    opened.field("Padding").select_option("numbers")
    assert opened.text().startswith("conv 5x3 s1x2 p6x1")


def test_what_is_not_known_is_shown_as_not_known(opened):
    opened.section.locator("textarea").fill("conv 3 p1 | conv 3 p1 c4")
    assert opened.row(1)[0] == "? × 3 × 3"
    assert opened.row(1)[4:] == opened.row(2)[4:] == opened.total() == ["?", "?"]
    opened.go("#receptive-field&input=9x9&layers=conv+3+c2")
    assert opened.row(1)[4:] == ["?", "?"]
    assert opened.section.locator(".stack-editor pre").inner_text() == "convbridge shapes 'conv 3 c2' --input 9x9"


# --------------------------------------------------------------------------- what is wrong


def test_wrong_numbers_are_said_and_the_page_goes_on(opened):
    kernel = opened.field("Kernel size, height")
    for text in ("0", "-1", "two", "1.5", ""):
        kernel.fill(text)
        assert opened.problem().startswith("Layer 2 (conv 2 c1): Kernel size must be a whole number of at least 1.")
        assert kernel.get_attribute("aria-invalid") == "true"
        assert opened.text() == "2 * conv 2 c1"
    kernel.fill("999")
    assert opened.problem() == "Layer 2 (conv 2 c1): Kernel size can be at most 255 on this page. Given: 999."
    kernel.fill("4")
    assert opened.problem() == (
        "Layer 2 (conv 4x2 c1): The window does not fit: along the height it spans 4, the padded input only 2."
    )
    assert opened.row(1)[0] == "1 × 2 × 2"
    assert opened.row(2) == ["–"] * 6
    assert opened.total() == ["–", "–"]
    assert not opened.section.locator(".views").is_visible()
    opened.press("1 conv 2 c1")  # what is below is still seen
    assert "An element of layer 1 sees 2 × 2 pixels." in opened.said()
    opened.field("Input size, height").fill("8")
    assert opened.problem() == ""
    assert opened.row(2)[0] == "1 × 4 × 1"
    opened.field("Input size, channels").fill("0")
    assert opened.problem().startswith("Input size must be a whole number of at least 1.")
    opened.field("Input size, channels").fill("3")
    opened.field("Groups, groups").fill("2")
    assert "The groups must divide the input channels and the output channels." in opened.problem()
    opened.field("Groups, groups").fill("1")
    opened.field("Kind").select_option("max")
    opened.field("Padding, top").fill("2")
    assert "must be smaller than the pooling window (2)" in opened.problem()
    opened.field("Padding, top").fill("1")
    assert opened.problem() == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv 3 |", "There must be a layer before and after every separator."),
        ("konv 3", "Layer 1 (konv 3): A layer begins with conv, pool or avgpool. Given: konv."),
        ("conv 2 | conv", "Layer 2 (conv): conv must be followed by the size"),
        ("conv 2 | conv 3x", "Layer 2 (conv 3x): Kernel size must be a whole number or HEIGHTxWIDTH"),
        ("conv 2 s0", "Layer 1 (conv 2 s0): Stride must be a whole number of at least 1. Given: 0."),
        ("conv 2 psum", "Layer 1 (conv 2 psum): Padding must be a number, HEIGHTxWIDTH"),
        ("conv 2 s1 s2", "Layer 1 (conv 2 s1 s2): Something is given twice: s2."),
        ("conv 2 q", "Layer 1 (conv 2 q): After the kernel come s, p, d, c, g"),
        ("conv 2 ceil", "Layer 1 (conv 2 ceil): Only pooling has a ceil mode."),
        ("pool 2 c3", "Layer 1 (pool 2 c3): Pooling keeps its channels"),
        ("65 * conv 1", "Layer 1 (65 * conv 1): The number of layers can be at most 64 on this page."),
        ("<img src=x onerror=alert(1)>", "Layer 1 (<img src=x onerror=alert(1)>)"),
    ],
)
def test_a_wrong_text_is_said_in_both_languages(opened, text, message):
    box = opened.section.locator("textarea")
    box.fill(text)
    assert opened.problem().startswith(message)
    assert box.get_attribute("aria-invalid") == "true"
    assert "layer 2 sees 3 × 3" in opened.said()  # the last stack that could be read
    assert opened.text() == text
    opened.section.locator("h2").click()
    assert opened.text() == text  # it can still be mended
    box.fill("conv 2 c1")
    assert opened.problem() == ""
    assert "layer 1 sees 2 × 2" in opened.said()
    opened.page.get_by_role("button", name="中文").click()
    box.fill(text)
    assert CHINESE.search(opened.problem())
    assert not re.search(r"\b(must|Given|layer)\b", opened.problem())


# --------------------------------------------------------------------------- links, languages, looks


def test_a_link_keeps_the_state(opened):
    opened.section.locator("textarea").fill("conv 3 p1 c8 | pool 2 | 2 * conv 3 p1:2x0 c8 g2")
    opened.field("Input size, height").fill("20")
    opened.field("Input size, width").fill("24")
    opened.press("2 pool 2")
    opened.section.locator(".of-map svg").focus()
    opened.page.keyboard.press("Home")
    link = opened.hash()
    assert link == ("#receptive-field&input=20x24x1&layers=conv+3+p1+c8;pool+2;2*conv+3+p1:2x0+c8+g2&layer=2&at=4,0")
    before = opened.everything()
    opened.page.reload()
    assert opened.everything() == before
    opened.load(link.replace(";", "%7C").replace("+", "%20"))  # as the terminal writes it
    assert opened.everything() == before
    opened.go("#receptive-field&network=nin")
    opened.press("1 conv 11 s4 c96")
    assert opened.hash() == "#receptive-field&network=nin&layer=1"
    opened.go("#receptive-field")
    assert opened.text() == "2 * conv 2 c1"


@pytest.mark.parametrize(
    "part",
    [
        "network=lenett",
        "input=3",
        "input=0x3",
        "input=3x3x3x3",
        "input=9999x9",
        "layers=conv",
        "layers=",
        "layer=9",
        "layer=0",
        "at=1",
        "at=-1,2",
        "%",
        "x",
    ],
)
def test_a_damaged_link_is_said(opened, part):
    opened.go(f"#receptive-field&{part}")
    assert part.rstrip("=") in opened.problem()
    assert "layer 2 sees 3 × 3" in opened.said()
    opened.go("#receptive-field&at=99,99")
    assert opened.problem() == ""
    assert opened.element() == [0, 0]


def test_both_languages(opened):
    opened.go("#receptive-field&network=resnet18")
    english = opened.section.inner_text()
    assert not CHINESE.search(english)
    opened.page.get_by_role("button", name="中文").click()
    opened.section.locator("[translate=no]").evaluate_all("(all) => all.forEach((one) => one.remove())")
    for line in opened.section.inner_text().splitlines():
        assert CHINESE.search(line) or not re.search("[A-Za-z]", line), line


def too_small(opened):
    """Controls that a finger would miss."""
    return opened.section.locator("button:visible, input:visible, select:visible").evaluate_all(
        """(all) => all.filter((one) => one.type !== "checkbox" && !one.matches(".copy"))
            .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().height])
            .filter(([, height]) => height < 35)"""
    )


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_width_is_too_narrow(opened, width):
    page = opened.page
    page.set_viewport_size({"width": width, "height": 800})
    for language in ("English", "中文"):
        page.get_by_role("button", name=language, exact=True).click()
        for link in ("", "&network=resnet18", "&input=1024x1024x65536&layers=conv+3x5+s2+p1:2x0:3+d2x1+c65536+g2"):
            opened.go(f"#receptive-field{link}")
            assert not opened.too_wide()
            assert not too_small(opened)
            # every field of the chosen layer is seen whole
            for one in opened.section.locator(".editing :is(input, select, button)").all():
                box = one.bounding_box()
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= width
            assert opened.section.locator(".of-map svg").bounding_box()["width"] > 20


def test_it_prints(opened):
    opened.go("#receptive-field&network=lenet")
    opened.page.emulate_media(media="print")
    assert opened.section.locator(".editing:visible, textarea:visible, .where-fields:visible").count() == 0
    assert opened.section.locator(".pick:visible").count() == 4
    assert opened.section.locator(".drawing svg:visible").count() == 2
    # nothing of the largest list is cut off on a sheet of A4
    opened.page.set_viewport_size({"width": 680, "height": 1000})
    opened.go("#receptive-field&network=resnet18")
    box = opened.section.locator(".stack-editor .scroll")
    assert box.evaluate("(box) => box.scrollWidth <= box.clientWidth")


def test_colours_can_be_told_apart(opened):
    for scheme in ("light", "dark"):
        opened.page.emulate_media(color_scheme=scheme)
        opened.go("#receptive-field&network=lenet&at=0,0")
        ratios = opened.page.evaluate(
            """() => {
                const shine = (channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
                const light = (colour) => {
                    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((n) => shine(n / 255));
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                };
                const ratio = (one, other) => {
                    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
                    return (a + 0.05) / (b + 0.05);
                };
                const root = document.querySelector("#section-receptive-field");
                const of = (selector, name) => getComputedStyle(root.querySelector(selector))[name];
                return {
                    nested: ratio(of(".nested", "stroke"), of(".seen", "fill")),
                    outline: ratio(of(".outline", "stroke"), of(".image", "fill")),
                    element: ratio(of(".element", "fill"), of(".of-map .image", "fill")),
                    chosen: ratio(of(".pick[aria-pressed=true]", "color"),
                                  of(".pick[aria-pressed=true]", "backgroundColor")),
                };
            }"""
        )
        assert min(ratios["nested"], ratios["outline"], ratios["element"]) >= 3, (scheme, ratios)
        assert ratios["chosen"] >= 4.5
