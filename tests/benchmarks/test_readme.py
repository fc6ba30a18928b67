"""README and docs show exactly what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import documents, readme, report, words
from tests.benchmarks.test_report import MACHINE, RESULT, made

EMPTY = "before\n\n<!-- benchmarks: {} -->\nold\n<!-- /benchmarks -->\n\nafter\n"


@pytest.mark.parametrize("page", readme.PAGES, ids=str)
def test_a_page_shows_the_numbers_that_were_measured_and_no_others(page: Path):
    text = (readme.ROOT / page).read_text("utf-8")
    assert "<!-- benchmarks: " in text
    assert readme.fill(text, readme.read(), page) == text


def test_the_pictures_that_pages_show_are_there():
    for one in (one for run in readme.read() for one in run.values()):
        for picture in one["pictures"]:
            for theme in documents.THEMES:
                assert (readme.ROOT / readme.IMAGES / f"{picture['name']}-{theme}{picture['suffix']}").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(EMPTY.format("table plain"), "utf-8")
    (tmp_path / "docs/benchmarks.md").write_text(EMPTY.format("all"), "utf-8")
    return tmp_path


def reports(tmp_path: Path, **options: bool) -> list[Path]:
    folders = [tmp_path / "report-3.11", tmp_path / "report-3.13"]
    for folder, python in zip(folders, ("CPython 3.11.7", "CPython 3.13.0"), strict=True):
        one = made(**options)
        one.machine.update(python=python)
        report.write([one], folder)
    return folders


def test_a_report_is_taken_over_with_its_tables_and_pictures(checkout: Path):
    written = readme.write(reports(checkout), checkout)
    text = (checkout / "README.md").read_text("utf-8")
    assert "| **asynclog** | **1.23** |" in text
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    assert 'srcset="images/shape-dark.svg"' in (checkout / "docs/benchmarks.md").read_text("utf-8")
    assert (checkout / "docs/images/shape-light.svg").read_bytes() == b"<svg/>"
    assert checkout / "README.md" in written


def test_taking_it_over_again_changes_nothing(checkout: Path):
    folders = reports(checkout)
    readme.write(folders, checkout)
    before = (checkout / "README.md").read_bytes()
    assert checkout / "README.md" not in readme.write(folders, checkout)
    assert (checkout / "README.md").read_bytes() == before


def test_claims_stand_with_a_column_for_each_python_and_missed_ones_are_marked(checkout: Path):
    (checkout / "README.md").write_text(EMPTY.format("claims"), "utf-8")
    readme.write(reports(checkout), checkout)
    text = (checkout / "README.md").read_text("utf-8")
    assert "| CPython 3.11.7 | CPython 3.13.0 |" in text
    assert text.count("**missed:** 5 ×; at most 4 ×") == 2
    assert "| Held | at most 20 % | 10 % | 10 % |" in text


def test_what_is_missed_is_told_with_why(checkout: Path):
    (checkout / "README.md").write_text(EMPTY.format("missed"), "utf-8")
    readme.write(reports(checkout), checkout)
    text = (checkout / "README.md").read_text("utf-8")
    assert text.count(": **5 ×** on CPython 3.1") == 2
    assert "on CPython 3.13.0, and not at most 4 ×. Because of this." in text
    assert "Held" not in text


def test_a_quick_run_is_not_shown(checkout: Path):
    with pytest.raises(readme.NotForShowError, match="quick run"):
        readme.write(reports(checkout, quick=True), checkout)
    assert "old" in (checkout / "README.md").read_text("utf-8")


def test_an_empty_report_is_not_shown(checkout: Path):
    with pytest.raises(readme.NotForShowError, match="has no results.json"):
        readme.write([checkout / "nowhere"], checkout)


def test_a_page_that_asks_for_what_was_not_measured_is_an_error(checkout: Path):
    with pytest.raises(KeyError, match="no table 'storm'"):
        readme.fill(EMPTY.format("table storm"), [{"hot_path": documents.of(made())}], Path("README.md"))


def test_a_page_can_show_a_table_of_each_python(checkout: Path):
    (checkout / "docs/benchmarks.md").write_text(EMPTY.format("tables plain"), "utf-8")
    readme.write(reports(checkout), checkout)
    text = (checkout / "docs/benchmarks.md").read_text("utf-8")
    (table, *_) = documents.of(made())["tables"]
    assert text.count(words.as_markdown(table)) == 2
    assert text.index(f"**{table['title']}**") < text.index("CPython 3.11.7:") < text.index("CPython 3.13.0:")
    with pytest.raises(KeyError, match="no table 'storm'"):
        readme.fill(EMPTY.format("tables storm"), readme.read(checkout), Path("README.md"))


def test_a_page_can_leave_out_what_stands_elsewhere_on_it(checkout: Path):
    readme.write(reports(checkout), checkout)
    runs = readme.read(checkout)
    ((name, one),) = runs[0].items()
    assert f"### {one['title']}" in readme.fill(EMPTY.format("all but storm"), runs, Path("README.md"))
    assert f"### {one['title']}" not in readme.fill(EMPTY.format(f"all but {name}"), runs, Path("README.md"))


def test_every_samples_summary_is_in_the_checkout(checkout: Path):
    folders = reports(checkout)
    readme.write(folders, checkout)
    (run, _) = readme.read(checkout)
    assert run["hot_path"]["samples"] == documents.read(folders[0])["hot_path"]["samples"] != {}
    assert run["hot_path"]["machine"]["commit"] == MACHINE["commit"]


def test_parts_of_different_commits_are_told_apart(checkout: Path):
    (checkout / "README.md").write_text(EMPTY.format("machine"), "utf-8")
    folders = reports(checkout)[:1]
    later = made("storm")
    later.machine.update(python="CPython 3.11.7", commit="fedcba987654", load=1.5, date="2026-11-30 00:00 UTC")
    report.write([later], folders[0])
    readme.write(folders, checkout)
    text = (checkout / "README.md").read_text("utf-8")
    assert f" at {MACHINE['commit']} (hot_path) at fedcba987654 (storm), " in text
    assert " to 2026-11-30 00:00 UTC; load average before each part " in text
    assert " to 1.50." in text


def test_reports_by_two_versions_of_a_benchmark_are_not_shown_beside_each_other(checkout: Path):
    folders = reports(checkout)
    report.write([made(result=replace(RESULT, claims=RESULT.claims[:1]))], folders[1])
    with pytest.raises(readme.NotForShowError, match="another version"):
        readme.write(folders, checkout)


def test_a_claims_number_stands_with_the_span_of_its_rounds():
    claim = {"measured": 1.82, "unit": "×", "span": [1.581, 2.172]}
    assert words.measured(claim) == "1.82 × (1.58 to 2.17)"
    assert words.measured({**claim, "unit": "%", "span": None}) == "182 %"
    assert words.measured({**claim, "unit": "%"}) == "182 % (158 to 217)"


def test_what_has_to_be_known_with_a_claims_number_stands_after_it():
    claim = {"measured": 12.2, "unit": "MB", "span": None, "note": "85 % were dropped"}
    assert readme._reached([{**claim, "holds": True}]) == "12.2 MB; 85 % were dropped"
    assert (
        readme._reached([{**claim, "holds": True, "span": [11.0, 12.2]}]) == "12.2 MB (11 to 12.2); 85 % were dropped"
    )
    assert readme._reached([{**claim, "holds": True, "note": ""}]) == "12.2 MB"
    missed = readme._reached([{**claim, "holds": False, "bound": 10, "at_least": False}])
    assert missed == "**missed:** 12.2 MB; at most 10 MB; 85 % were dropped"


def test_rounds_that_agree_have_no_span_to_show():
    assert words.measured({"measured": 12.2, "unit": "MB", "span": [12.2, 12.2]}) == "12.2 MB"
