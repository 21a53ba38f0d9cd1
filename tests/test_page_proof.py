"""The sections of the page that are no lesson but a proof: the atlas of disagreements, and the parity matrix."""

from __future__ import annotations

import html
import re

import pytest

from convbridge.parity.lattice import lattice
from convbridge.parity.results import row_of
from convbridge.teaching.divergences import ENTRIES, GROUPS
from convbridge.teaching.divergences.chinese import CHINESE, CHINESE_GROUPS


def numbers_in(text):
    return re.findall(r"\d+", text.replace("2.0**", ""))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_the_same_in_chinese(entry):
    chinese = CHINESE[entry.name]
    for ours, theirs in zip((entry.title, entry.question, entry.why, entry.promise), chinese, strict=True):
        # code stays code, and a number said in digits stays in digits unless Chinese says it in words
        assert set(re.findall(r"[a-z]+_[a-z_\d]+|'[a-z_]+'|\*\*\d+", ours)) <= set(
            re.findall(r"[a-z]+_[a-z_\d]+|'[a-z_]+'|\*\*\d+", theirs)
        )
        assert set(numbers_in(theirs)) <= set(numbers_in(ours)) | {"1"}


def plain(marked):
    return html.unescape(re.sub(r"<[^>]+>", "", marked))


def test_every_entry_and_every_group_is_translated():
    assert list(CHINESE) == [entry.name for entry in ENTRIES]
    assert list(CHINESE_GROUPS) == list(GROUPS)


# --------------------------------------------------------------------------- the atlas


@pytest.fixture
def atlas(unopened):
    unopened.load("#atlas")
    return unopened


def test_every_entry_shows_what_the_run_found(atlas, page_run):
    found = page_run.gathered["atlas"]
    questions = atlas.section.locator(".question")
    assert questions.count() == len(ENTRIES)
    for entry in [one for group in found["groups"] for one in group]:
        box = atlas.section.locator(f".question[data-entry={entry['name']}]")
        box.locator("summary").click()
        box.locator(".answers").wait_for()  # it is filled as it opens
        for one in entry["answers"]:
            pane = box.locator(f".pane[data-backend={one['backend']}]")
            assert pane.locator(".answer pre").all_text_contents() == [given["text"] for given in one["given"]]
            code = pane.locator("code[data-source]").all_text_contents()
            assert code == ([plain(one["source"])] if one["source"] else [])
        promise = box.locator(".promise .answer pre").all_text_contents()
        assert promise == [one["text"] for one in entry["promises"]]


def test_the_filter_finds_and_says_how_many(atlas, page_run):
    count = len(ENTRIES)
    field = atlas.section.get_by_role("searchbox")
    output = atlas.section.locator("output")
    visible = atlas.section.locator(".question:visible")
    assert output.inner_text() == f"{count} of {count} questions"
    field.fill("stride half")
    names = visible.evaluate_all("(boxes) => boxes.map((box) => box.dataset.entry)")
    assert "half-kernel-padding" in names
    assert len(names) < count
    assert output.inner_text() == f"{len(names)} of {count} questions"
    field.fill("no such word anywhere")
    assert visible.count() == 0
    field.fill("")
    atlas.section.get_by_role("checkbox").check()
    silent = [
        entry["name"]
        for group in page_run.gathered["atlas"]["groups"]
        for entry in group
        if any(given["kind"] == "silent" for one in entry["answers"] for given in one["given"])
    ]
    assert visible.evaluate_all("(boxes) => boxes.map((box) => box.dataset.entry)") == silent
    assert atlas.hash() == "#atlas&silent=1"


def test_a_link_opens_an_entry_in_either_language(atlas):
    atlas.load("#atlas&entry=ties&lang=zh")
    box = atlas.section.locator(".question[data-entry=ties]")
    assert box.evaluate("(box) => box.open")
    assert 0 <= box.bounding_box()["y"] < 900
    assert CHINESE["ties"].why in box.inner_text()
    box.locator("summary").press("Enter")
    assert atlas.hash() == "#atlas&lang=zh"
    atlas.load("#atlas&entry=no-such&silent=2")
    assert "entry=no-such, silent=2" in atlas.problem()
    atlas.section.locator(".question summary").first.click()
    assert atlas.hash() == f"#atlas&entry={ENTRIES[0].name}"


# --------------------------------------------------------------------------- the matrix


@pytest.fixture
def matrix(unopened):
    unopened.load("#parity")
    return unopened


def test_the_matrix_has_every_row_and_says_what_was_run(matrix, page_run):
    found = page_run.gathered["parity"]
    assert {tuple(row) for row in found["rows"]} == {tuple(row_of(case)) for case in lattice()}
    assert matrix.section.locator("tbody th[scope=row]").count() == len(found["rows"])
    headline = matrix.section.locator(".headline").inner_text()
    assert "no real difference" in headline
    assert f"{found['cases']:,} cases, taken evenly from the {found['lattice']:,}" in headline
    assert sum(found["counts"].values()) == found["comparisons"]
    cells = [cell for row in found["cells"] for cell in row if cell]
    assert matrix.section.locator("tbody button").count() == len(cells)
    assert max(cell["fraction"] for cell in cells) == found["used"] <= 1


def test_a_cell_opens_to_the_element_that_used_most(matrix, page_run):
    found = page_run.gathered["parity"]
    i, j = next(
        (i, j) for i, row in enumerate(found["cells"]) for j, cell in enumerate(row) if cell and cell["worst"]["at"]
    )
    worst = found["cells"][i][j]["worst"]
    cell = matrix.section.locator(f"td[data-at='{i},{j}'] button")
    cell.click()
    panel = matrix.section.locator(".panel").inner_text()
    for shown in (worst["call"], worst["left"], worst["right"], worst["off"], worst["allowed"], worst["case"]):
        assert shown in panel
    off, allowed = float(worst["off"]), float(worst["allowed"])
    assert abs(off / allowed - worst["fraction"]) < 0.01
    assert matrix.hash() == f"#parity&cell={i + 1},{j + 1}"
    assert cell.get_attribute("aria-pressed") == "true"


def test_the_arrow_keys_go_from_cell_to_cell(matrix):
    stops = matrix.section.locator("tbody button[tabindex='0']")
    assert stops.count() == 1
    stops.focus()
    at = "document.activeElement.closest('td').dataset.at"
    before = matrix.page.evaluate(at)
    matrix.page.keyboard.press("ArrowDown")
    after = matrix.page.evaluate(at)
    assert before != after
    matrix.page.keyboard.press("Enter")
    assert matrix.page.evaluate(at) == after  # the focus stays, though the panel is new
    assert matrix.section.locator("button[aria-pressed=true]").count() == 1
    matrix.page.keyboard.press("ArrowUp")
    assert matrix.page.evaluate(at) == before


@pytest.mark.parametrize("link", ["#parity&cell=99,1", "#parity&cell=x", "#parity&row=1"])
def test_a_link_to_no_cell_is_said(matrix, page_run, link):
    matrix.load(link)
    assert link.partition("&")[2] in matrix.problem()
    cells = [cell for row in page_run.gathered["parity"]["cells"] for cell in row if cell]
    assert matrix.section.locator("tbody button").count() == len(cells)


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("link", ["#atlas&entry=one-nan", "#parity&cell=1,1"])
def test_neither_is_wider_than_its_screen(unopened, link, width):
    unopened.page.set_viewport_size({"width": width, "height": 900})
    for language in ("", "&lang=zh"):
        unopened.load(link + language)
        assert not unopened.too_wide()
