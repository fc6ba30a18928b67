"""Every code block in the README and the docs runs as it stands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in _BLOCK.finditer(text):
            if match[1] == language:
                line = text[: match.start()].count("\n") + 1
                found.append((f"{page.name}:{line}", match[2]))
    return found


def test_every_block_has_a_language_that_is_tested():
    languages = {match[1] for page in PAGES for match in _BLOCK.finditer(page.read_text("utf-8"))}
    assert languages == {"python", "console"}


@pytest.mark.parametrize(("where", "code"), [pytest.param(*block, id=block[0]) for block in _blocks("python")])
def test_python_block_runs(where: str, code: str, tmp_path: Path):
    script = tmp_path / "block.py"
    script.write_text(code, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{where}:\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(("where", "commands"), [pytest.param(*block, id=block[0]) for block in _blocks("console")])
def test_console_block_names_what_is_there(where: str, commands: str):
    for command in filter(None, commands.splitlines()):
        words = shlex.split(command)
        if words[0] == "make":
            assert shutil.which("make"), "make is needed"
            done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, f"{where}: {command}: {done.stderr}"
        elif words[0] == "asynclog" or words[:3] == ["python", "-m", "asynclog"]:
            words = words[words.index("asynclog") + 1 :]
            done = subprocess.run(
                [sys.executable, "-m", "asynclog", words[0], "--help"],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, f"{where}: {command}: {done.stderr}"
            assert all(word in done.stdout for word in words[1:] if word.startswith("--")), f"{where}: {command}"
        else:
            assert words[:2] == ["pip", "install"], f"{where}: don't know how to check {command!r}"
            assert words[2].startswith("asynclog-shipper"), command
