"""What the README shows is run, and the Chinese one shows the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import convbridge

FOLDER = Path(__file__).parents[1]
README, CHINESE = ((FOLDER / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))


def test_the_tour_runs_and_prints_what_its_comments_say():
    missing = set(convbridge.registry.BUILTIN) - set(convbridge.available_backends())
    if missing:
        pytest.skip(f"the tour shows all four frameworks, and these are not installed: {', '.join(sorted(missing))}")
    tour, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    run = subprocess.run([sys.executable, "-c", tour], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    printed = " ".join(run.stdout.split())
    assert printed.startswith("[[19. 25.] [37. 43.]] tensor([[19., 25.], [37., 43.]])")
    assert "[[2. 3.] [5. 6.]] <NDArray 2x2 @cpu(0)>" in printed
    assert printed.endswith("(15, 15)")


def test_the_layer_that_was_moved_fails_for_the_cause_that_is_shown():
    if not {"torch", "tensorflow"} <= set(convbridge.available_backends()):
        pytest.skip("the example moves a layer from PyTorch to Keras, and not both are installed")
    _, example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    run = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 1
    assert "ParityError" in run.stderr
    (shown,) = re.findall(r"```text\nlikely cause: (.*?) \(", README)
    assert f"likely cause: {shown}" in run.stderr


def test_the_commands_of_the_readme_exist():
    pytest.importorskip("typer", reason="the command line is an extra")
    from convbridge.teaching import examples

    names = {example.name for example in examples.EXAMPLES}
    for command in re.findall(r"^convbridge (\w+)(.*?)(?:#.*)?$", README, re.MULTILINE):
        run = subprocess.run(
            [sys.executable, "-m", "convbridge.cli", command[0], "--help"], capture_output=True, check=False
        )
        assert run.returncode == 0, command
    for wanted in re.search(r"convbridge compare (corr2d .*?)#", README).group(1).split():
        assert wanted in names


def test_the_selection_order_is_the_one_of_the_code():
    """The README's list and the docstring of the one function's module say the same."""
    from convbridge import selection

    listed = re.findall(r"^\d\. (.*?)[;.]$", README.split("## Which backend runs")[1].split("##")[0], re.MULTILINE)
    coded = re.findall(r"^\d\. (.*?)[;.]$", selection.__doc__, re.MULTILINE)
    strip = [re.sub(r"[`*]|the innermost |the argument |with ", "", line).replace("``", "") for line in listed]
    assert len(listed) == len(coded) == 6
    for short, long in zip(strip, coded):
        assert short.split()[0].strip("`") in long


# --------------------------------------------------------------------------- in Chinese


def blocks(text):
    """Return the code blocks, each with its language and without its comments, which may be translated."""
    found = []
    for language, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        lines = [re.sub(r"(^|\s+)#\s.*$", "", line).rstrip() for line in code.splitlines()]
        # the numbers in a comment are no matter of language
        numbers = [re.findall(r"-?\d[\d.]*", line) for line in code.splitlines()]
        found.append((language, lines, numbers))
    return found


def sections(text):
    """Return what a heading and the text below it hold that no translation changes."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    parts = re.split(r"^(?=#+ )", text, flags=re.MULTILINE)
    return [
        {
            "level": len(re.match(r"#*", part)[0]),
            "code": sorted(re.findall(r"`[^`]+`", part)),
            "steps": re.findall(r"^\d+\.", part, re.MULTILINE),
            "table": [line.count("|") for line in part.splitlines() if line.startswith("|")],
            "links": sorted(target for target in re.findall(r"\]\((.*?)\)", part) if target not in LANGUAGES),
        }
        for part in parts
    ]


LANGUAGES = {"README.md": "README.zh.md", "README.zh.md": "README.md"}


def test_the_chinese_readme_has_the_same_code():
    for english, chinese in zip(blocks(README), blocks(CHINESE), strict=True):
        assert english == chinese


def test_the_chinese_readme_has_the_same_parts():
    for english, chinese in zip(sections(README), sections(CHINESE), strict=True):
        assert english == chinese


def test_each_readme_leads_to_the_other():
    for text, other in ((README, "README.zh.md"), (CHINESE, "README.md")):
        assert f"]({other})" in text.split("\n## ")[0]
        assert (FOLDER / other).is_file()


def test_the_chinese_readme_is_chinese():
    prose = re.sub(r"^```.*?^```$|`[^`]+`", "", CHINESE, flags=re.DOTALL | re.MULTILINE)
    for paragraph in prose.split("\n\n"):
        if len(re.findall(r"[A-Za-z]", paragraph)) > 3:
            assert re.search(r"[\u4e00-\u9fff]", paragraph) or paragraph == "# convbridge", paragraph


def test_a_difference_between_the_readmes_is_found():
    code = "```sh\nmake compare  # all\n```\n"
    assert blocks(code) == blocks(code.replace("all", "全部"))
    assert blocks(code) != blocks(code.replace("compare", "test"))
    text = "## One\n\n1. `a`\n\n| x | y |\n[more](docs)\n"
    assert sections(text) == sections(text.replace("One", "一").replace("more", "更多"))
    for old, new in (("`a`", "`b`"), ("1. ", ""), ("| y |", "|"), ("(docs)", "(other)"), ("## ", "### ")):
        assert sections(text) != sections(text.replace(old, new))
