"""The report shows what was measured, the lost rows and missed numbers above all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import documents, outcome, report, words
from benchmarks.result import Claim, Column, Picture, Result, Table

MACHINE = {
    "asynclog": "9.9.9",
    "commit": "abc123",
    "date": "2026-01-01 00:00 UTC",
    "python": "CPython 3.11.7",
    "gil": True,
    "system": "Linux 6",
    "cpu": "Some CPU",
    "cores": 2,
    "load": 0.25,
    "versions": {"loguru": "0.7.3", "picologging": None},
}

RESULT = Result(
    tables=[
        Table(
            "A <call>",
            [Column("µs"), Column("share", 0, percent=True), Column("words", None)],
            [("asynclog", [1.234, 0.125, "fine"]), ("other", [0.5, None, "not | installed"])],
            note="Lower is better.",
            key="plain",
        )
    ],
    claims=[
        Claim("Held", 0.1, 0.2, "%"),
        Claim("Missed", 5.0, 4.0, "×", why_not="Because of this."),
        Claim("A floor", 20.0, 15.0, "×", at_least=True),
    ],
    pictures=[Picture("shape", "A shape.", lambda file, dark: file.write(b"<svg>dark</svg>" if dark else b"<svg/>"))],
    samples={"plain": {"best": 1.0, "worst": float("inf")}},
    lines=["One thing to know."],
)


def made(name: str = "hot_path", *, result: Result = RESULT, quick: bool = False, commit: str = "abc123"):
    return outcome.of(
        result, name=name, title=f"Title of {name}", quick=quick, seconds=61.0, machine={**MACHINE, "commit": commit}
    )


@pytest.fixture
def page(tmp_path: Path) -> str:
    return report.write([made()], tmp_path).read_text("utf-8")


def test_the_page_has_every_number_and_escapes_what_it_shows(page: str):
    for text in ("1.23", "12 %", "Lower is better.", "One thing to know.", "A &lt;call&gt;", "A shape."):
        assert text in page, text


def test_a_missed_number_stands_at_the_top_with_its_reason_and_is_not_hidden_among_those_that_hold(page: str):
    assert "2 of 3 numbers are reached" in page
    top = page[: page.index("<h2")]
    assert "Missed" in top
    assert "Because of this." in top
    assert "A floor" not in top
    assert page.count("does not hold") == 1


def test_what_has_to_be_known_with_a_number_stands_beside_it_though_it_holds(tmp_path: Path):
    result = Result(claims=[Claim("Small", 0.1, 0.2, note="most of it was <dropped>")])
    page = report.write([made(result=result)], tmp_path).read_text("utf-8")
    assert 'Small <span class="why">most of it was &lt;dropped&gt;</span>' in page


def test_a_quick_run_never_says_that_a_number_holds(tmp_path: Path):
    page = report.write([made(quick=True)], tmp_path).read_text("utf-8")
    assert "rough: yes" in page
    assert "rough: no" in page
    assert ">holds<" not in page


def test_the_page_needs_nothing_from_elsewhere(page: str):
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/svg+xml;base64,") == 2


def test_where_and_of_what_it_was_measured_stands_on_the_page(page: str):
    for text in (
        "abc123",
        "CPython 3.11.7",
        "2 cores",
        "Some CPU",
        "0.25",
        "loguru 0.7.3",
        "picologging not installed",
    ):
        assert text in page, text


def test_results_are_valid_json_without_infinities_and_hold_the_samples(tmp_path: Path):
    report.write([made()], tmp_path)
    text = (tmp_path / "results.json").read_text("utf-8")
    (one,) = json.loads(text, parse_constant=pytest.fail)["benchmarks"]
    assert one["samples"]["plain"] == {"best": 1.0, "worst": None}
    assert [claim["holds"] for claim in one["claims"]] == [True, False, True]


def test_measuring_one_benchmark_anew_leaves_the_others_with_their_own_commit(tmp_path: Path):
    report.write([made("hot_path"), made("storm")], tmp_path)
    page = report.write([made("storm", commit="def456")], tmp_path).read_text("utf-8")
    assert list(documents.read(tmp_path)) == ["hot_path", "storm"]
    assert "def456" in page
    assert "abc123" in page


def test_a_benchmark_that_failed_takes_its_old_numbers_and_pictures_with_it(tmp_path: Path):
    report.write([made()], tmp_path)
    failed = outcome.Outcome("hot_path", "Title", False, 1.0, MACHINE, fault="LostError: gone")
    page = report.write([failed], tmp_path).read_text("utf-8")
    assert "LostError: gone" in page
    assert "1.23" not in page
    assert list((tmp_path / "pictures").iterdir()) == []


def test_results_of_another_format_are_not_taken_for_ones_own(tmp_path: Path):
    (tmp_path / "results.json").write_text('{"format": 0, "benchmarks": []}')
    with pytest.raises(ValueError, match="measure anew"):
        documents.read(tmp_path)


@pytest.mark.parametrize(
    ("value", "column", "shown"),
    [
        (1234.5, Column("", 1), "1,234.5"),
        (0.0261, Column("", 1, percent=True), "2.6 %"),
        (-0.001, Column("", 2), "0.00"),
        (None, Column(""), words.NOTHING),
        (float("nan"), Column(""), words.NOTHING),
        ("hangs", Column("", 1), "hangs"),
    ],
)
def test_a_cell_is_shown_as_its_column_says(value: float | str | None, column: Column, shown: str):
    assert words.cell(value, {"decimals": column.decimals, "percent": column.percent}) == shown


def test_a_number_that_is_none_is_not_measured_and_does_not_hold():
    claim = Claim("", float("nan"), 1.0)
    assert not claim.holds
    assert words.quantity(claim.measured, "×") == "not measured"


def test_a_table_for_the_terminal_lines_its_columns_up():
    table = documents.of(made())["tables"][0]
    lines = words.as_text(table).splitlines()
    assert lines[1].index("µs") + len("µs") == lines[2].index("1.23") + len("1.23")


def test_a_table_of_long_words_is_left_to_the_page():
    table = {**documents.of(made())["tables"][0], "rows": [["asynclog", [1.0, 0.5, "word " * 50]]]}
    assert words.as_text(table) == "A <call>: on the page"


def test_markdown_keeps_a_bar_in_a_cell_apart_from_the_columns():
    table = documents.of(made())["tables"][0]
    assert "not \\| installed" in words.as_markdown(table)
    assert "**1.23**" in words.as_markdown(table)
