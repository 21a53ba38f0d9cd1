"""The page as a file: complete, in both languages, from the run, and honest about what is missing."""

from __future__ import annotations

import copy
import inspect
import json
import re
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pytest

from convbridge import cli, dispatch, registry
from convbridge.teaching import page as pages
from convbridge.teaching.compare import compare
from convbridge.teaching.examples import EXAMPLES
from convbridge.teaching.page.code import highlight
from convbridge.teaching.page.components import COMPONENTS
from convbridge.teaching.page.rendering import scripts
from convbridge.teaching.page.running import setup
from convbridge.teaching.page.sections import SECTIONS
from convbridge.teaching.page.texts import PARTS, TEXTS

ASSETS = files("convbridge.teaching") / "page" / "assets"
CJK = re.compile(r"[\u3400-\u9fff]")


@pytest.fixture(scope="module")
def run():
    return pages.run(["numpy"], {"torch": "pip install <torch>"}, components={})


@pytest.fixture(scope="module")
def html(run):
    return pages.render(run)


def data_in(html):
    return json.loads(re.search(r'<script type="application/json" id="page-data">(.*?)</script>', html, re.DOTALL)[1])


# --------------------------------------------------------------------------- texts


def placeholders(text):
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_says_the_same_in_both_languages(key):
    english, chinese = TEXTS[key]
    assert english.strip() == english
    assert chinese.strip() == chinese
    assert english
    assert chinese
    assert placeholders(english) == placeholders(chinese)
    assert re.findall(r"<[^>]+>", english) == re.findall(r"<[^>]+>", chinese) or "em>" in english
    if key != "noscript":  # it is for readers whose language the page cannot know
        assert not CJK.search(english)
    # what is the same in both languages is mathematics
    assert CJK.search(chinese) or key in ("sum", "sum.rounded", "size.floor")


def test_every_text_is_used_and_every_used_text_is_there():
    script = "\n".join(ASSETS.joinpath(name).read_text(encoding="utf-8") for name in scripts())
    python = "".join(
        map(inspect.getsource, [pages.rendering, *(sys.modules[one.body.__module__] for one in COMPONENTS.values())])
    )
    named = set(re.findall(r'\bt\(\s*"([\w.-]+)"', script))
    assert named <= set(TEXTS), named - set(TEXTS)
    literal = set(re.findall(r'"([\w.-]+)"', script + python))
    # names that are put together: t(`what.${what}`)
    composed = set(re.findall(r"\bt\(`([\w.]+\.)\$", script)) | {"fact.", "section.", "example."}
    unused = {key for key in TEXTS if key not in literal and not any(key.startswith(p) for p in composed)}
    assert not unused


def test_no_text_is_written_twice():
    keys = [key for part in PARTS for key in part.TEXTS]
    assert sorted(keys) == sorted(set(keys))


def test_every_section_and_every_example_has_its_texts():
    for section in SECTIONS:
        keys = [f"section.{section.name}.{part}" for part in ("title", *range(1, section.paragraphs + 1))]
        assert set(keys) == {key for key in TEXTS if key.startswith(f"section.{section.name}.")}
        assert {f"example.{name}" for name in section.examples} <= set(TEXTS)
    shown = [name for section in SECTIONS for name in section.examples]
    assert sorted(shown) == sorted(example.name for example in EXAMPLES)


# --------------------------------------------------------------------------- the file


class Opened(HTMLParser):
    """Reads tags and complains about those that do not match."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self):
        super().__init__()
        self.stack, self.ids, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_the_file_is_whole(html):
    parser = Opened()
    parser.feed(html)
    assert parser.stack == []
    assert len(parser.ids) == len(set(parser.ids))
    assert all(link.startswith("#") or link == "data:," for link in parser.links), parser.links
    assert {link[1:] for link in parser.links if link.startswith("#")} <= set(parser.ids)
    assert len(html.encode()) < 1_500_000
    assert not re.search(r"https?://", html)


def test_the_whole_page_is_small(page_address):
    assert Path(url2pathname(urlsplit(page_address).path)).stat().st_size < 1_500_000


def test_the_engine_in_the_page_is_the_one_that_is_tested(html):
    assert ASSETS.joinpath("engine.js").read_text(encoding="utf-8").strip() in html


def test_what_is_missing_is_shown_as_missing(html, run):
    data = data_in(html)
    assert [one["name"] for one in data["participants"] if one["problem"]] == ["torch"]
    assert all(set(example["results"]) == {"numpy"} for example in data["examples"].values())
    assert all(set(code) == {"numpy"} for code in data["code"].values())
    assert "torch: pip install &lt;torch&gt;" in html
    assert f"numpy {np.__version__}" in html
    assert run.facts["date"] in html


def test_every_number_is_from_the_run(run, html):
    data = data_in(html)["examples"]
    for comparison in run.comparisons:
        shown = data[comparison.example.name]
        for one in comparison.runs:
            for result, there in zip(one.results, shown["results"][one.backend], strict=True):
                np.testing.assert_array_equal(np.asarray(there["output"], np.float32), result.output)
        assert shown["verdict"]["kind"] == comparison.kind


def test_every_source_is_the_installed_one(backend):
    found = pages.run([backend], components={})
    code = data_in(pages.render(found))["code"]
    loaded = registry.load(backend)
    for name, marked in code.items():
        text = plain(marked[backend])
        module, _, function = name.partition(".")
        assert inspect.getsource(getattr(getattr(loaded, module), function)) in text
        installed = inspect.getsource(getattr(loaded, module))
        assert all(part.strip("\n") in installed for part in re.split(r"\n\n(?=\S)", text))


def plain(marked):
    texts = []
    parser = HTMLParser()
    parser.handle_data = texts.append
    parser.feed(marked)
    return "".join(texts)


def test_the_shown_chapter_functions_return_what_is_shown(backend):
    found = pages.run([backend], components={})
    data = data_in(pages.render(found))
    loaded = registry.load(backend)
    ran = 0
    for comparison in found.comparisons:
        example = comparison.example
        shown = data["examples"][example.name]
        for call, result in zip(example.calls, shown["results"][backend], strict=True):
            if not call.source or call.source == "comp_conv2d":
                continue
            # the listing as the page shows it, with no function of the installed file
            source = plain(data["code"][f"chapter.{call.source}"][backend])
            chapter = vars(loaded.chapter)
            names = {
                name: value
                for name, value in chapter.items()
                if not inspect.isfunction(value) or value.__module__ != chapter["__name__"]
            }
            exec(source, names)
            arrays = [loaded.arrays.asarray(example.inputs[name], "float32") for name in call.inputs]
            run = names[call.source]
            if call.layer is not None:
                run = run(call.layer.window)
                loaded.lesson.fill(run, *(example.inputs[name].astype("float32") for name in ("K", "b")))
            Y = loaded.arrays.to_numpy(run(*arrays, **call.options))
            np.testing.assert_array_equal(Y, np.asarray(result["output"], np.float32))
            ran += 1
    assert ran >= 11


def test_the_shown_operators_return_what_is_shown(backend, monkeypatch):
    found = pages.run([backend], components={})
    code = data_in(pages.render(found))["code"]
    ops = registry.load(backend).ops
    called = []

    def listed(name):
        """Make the function that a pane shows, with no other function of the installed file than it shows."""
        names = {
            key: value
            for key, value in vars(ops).items()
            if not inspect.isfunction(value) or value.__module__ != ops.__name__
        }
        exec(plain(code[f"ops.{name}"][backend]), names)

        def call(*arguments, **options):
            called.append(name)
            return names[name](*arguments, **options)

        return call

    for name in ("conv2d", "max_pool2d", "avg_pool2d"):
        monkeypatch.setattr(ops, name, listed(name))
    for name in [key for key in vars(ops) if key.startswith("prepare_")]:
        monkeypatch.delattr(ops, name)  # the quick ways, which are other functions
    dispatch.forget()
    for comparison in found.comparisons:
        before = len(called)
        again = compare(comparison.example, [backend])
        for result, wanted in zip(again.runs[0].results, comparison.runs[0].results, strict=True):
            np.testing.assert_array_equal(result.output, wanted.output)
        assert len(called) > before
    assert set(called) == {"conv2d", "max_pool2d", "avg_pool2d"}


def test_differences_are_marked():
    marked = highlight({"a": "x = np.sum(y)  # a remark\n", "b": "x = tf.sum(y)  # another\n", "c": "x = np.sum(y)\n"})
    assert marked["a"] == '<mark>np</mark>.sum(y)  <span class="c"># a remark</span>\n'.join(["x = ", ""])
    assert marked["b"].count("<mark>") == 1
    assert highlight({"a": "x < 1\n"}) == {"a": 'x &lt; <span class="n">1</span>\n'}


def test_setup_knows_every_example():
    found = {example.name: setup(example) for example in EXAMPLES}
    assert found["convolution"]["operation"] == "convolve"
    assert found["layer-bias"]["bias"] == [0.5]
    assert found["layer-bias-channels"]["bias"] == [0.5, 1.0, -1.0]
    assert found["pool-max"]["bias"] is None
    assert found["pool-layer"]["stride"] == [3, 3]
    assert found["pool-layer-rectangle"]["padding"] == [[0, 0], [1, 1]]
    assert np.shape(found["channels-out"]["K"]) == (3, 2, 2, 2)
    assert np.shape(found["channels-in"]["K"]) == (1, 2, 2, 2)
    assert np.shape(found["pool-layer-channels"]["K"]) == (1, 2, 3, 3)


# --------------------------------------------------------------------------- the command


def test_the_command_writes_the_page(tmp_path, capfd):
    file = tmp_path / "page.html"
    assert cli.main(["page", "--output", str(file), "--backends", "numpy"]) == 0
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert str(file) in capfd.readouterr().err


def test_the_command_says_what_it_cannot_do(tmp_path, capfd):
    assert cli.main(["page", "--output", str(tmp_path / "no" / "page.html"), "--backends", "numpy"]) == 2
    assert "No such file" in capfd.readouterr().err
    assert cli.main(["page", "--output", str(tmp_path / "page.html"), "--backends", "nump"]) == 2
    assert "numpy" in capfd.readouterr().err
    assert cli.main(["page"]) == 2


def test_a_real_difference_is_reported(tmp_path, monkeypatch, capfd):
    made = pages.run(["numpy"], components={})
    wrong = made._replace(comparisons=(made.comparisons[0]._replace(kind="REAL DIFFERENCE"), *made.comparisons[1:]))
    monkeypatch.setattr(pages, "run", lambda *_: wrong)
    assert cli.main(["page", "--output", str(tmp_path / "page.html"), "--backends", "numpy"]) == 1
    assert "corr2d" in capfd.readouterr().err


def spoilt(gathered, name):
    """Return what was gathered with one answer of a component that rounding does not explain."""
    found = copy.deepcopy(gathered[name])
    match name:
        case "learning":
            found["lessons"][1]["verdict"]["kind"] = "REAL DIFFERENCE"
        case "atlas":
            found["groups"][0][0]["kept"] = False
        case "parity":
            found["counts"]["crashed"] = 2
    return {**gathered, name: found}


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ("learning", "learn differently from [0.5, 0.5]: convbridge learn"),
        ("atlas", "is not kept: convbridge atlas"),
        ("parity", "2 crashed: convbridge parity"),
    ],
)
def test_a_real_difference_outside_the_examples_is_reported(component, said, page_run, tmp_path, monkeypatch, capfd):
    wrong = page_run._replace(gathered=spoilt(page_run.gathered, component))
    for made, code in ((wrong, 1), (page_run, 0)):
        monkeypatch.setattr(pages, "run", lambda *_, made=made: made)
        assert cli.main(["page", "--output", str(tmp_path / "page.html"), "--backends", "numpy"]) == code
        assert (said in capfd.readouterr().err) == bool(code)
