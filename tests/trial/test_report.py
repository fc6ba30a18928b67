"""The report: one page with everything in it, safe to open."""

import dataclasses
import html.parser
import io
import json

import pytest
from rich.console import Console

from asynclog.trial import picture, report, table
from asynclog.trial.accounts import FileAccount
from asynclog.trial.plan import OWN_APPS
from asynclog.trial.scene import OwnApp
from tests.trial.samples import NASTY, mail, outcome, rich_mail


class Page(html.parser.HTMLParser):
    """Collects what a browser would load and whether every element is closed."""

    VOID = {"meta", "source", "img", "br"}

    def __init__(self, text):
        super().__init__()
        self.loads, self.tags, self.open, self.text, self.frames = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in {"src", "srcset", "href"}]
        if tag == "iframe":
            self.frames.append(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    page = report.write(outcome(), folder)
    return page.read_text(encoding="utf-8"), folder


def test_the_page_holds_its_pictures_and_loads_nothing(written):
    page = Page(written[0])
    assert len(page.loads) == 4
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert page.open == []


def test_what_a_mail_holds_is_shown_and_never_run(written):
    page = Page(written[0])
    assert "script" not in page.tags
    shown = "".join(page.text)
    assert "</pre><script>alert(1)</script>" in shown
    assert "<b>fäiled" in shown
    assert "asynclog: alarm <b>" in shown


def test_every_state_and_app_is_in_the_table(written):
    page = Page(written[0])
    shown = "".join(page.text)
    for label in ("healthy", "2 s per mail", "refusing connections", "accepting and silent", "healthy again"):
        assert f"Mail server {label}" in shown
    assert shown.count("no logging, 2nd copy") == 7


def test_many_mails_are_cut_to_the_first_and_the_rest_is_counted(written):
    page = Page(written[0])
    assert page.tags.count("details") == 2 + 12
    assert "… and 3 more." in "".join(page.text)


def test_the_numbers_are_there_for_machines(written):
    numbers = json.loads((written[1] / report.NUMBERS).read_text())
    assert numbers["faults"] == []
    assert numbers["accounts"]["asynclog"]["announced"] == 20
    assert set(numbers["states"]) == {"healthy", "slow", "refusing", "silent", "recovered"}
    assert numbers["states"]["slow"]["apps"]["asynclog"]["requests"] == 40
    assert numbers["states"]["slow"]["p99_ratio"]["within"] in {True, False}


def test_only_the_page_the_numbers_and_the_mails_are_written(written):
    assert sorted(path.name for path in written[1].iterdir()) == [report.PAGE, report.MAILS, report.NUMBERS]


def test_asynclogs_mails_are_files_byte_for_byte_as_they_arrived(written):
    files = sorted((written[1] / report.MAILS).iterdir())
    assert [file.name for file in files] == ["01.eml", "02.eml"]
    assert [file.read_bytes() for file in files] == [mail.content for mail in outcome().mails["asynclog"]]


def test_mails_of_an_earlier_run_do_not_stay_beside_the_new_ones_and_other_files_do(tmp_path):
    mails = tmp_path / report.MAILS
    mails.mkdir()
    for name in ("03.eml", "mine.eml", "notes.txt"):
        (mails / name).touch()
    report.write(outcome(), tmp_path)
    assert sorted(file.name for file in mails.iterdir()) == ["01.eml", "02.eml", "mine.eml", "notes.txt"]


def test_a_hundred_mails_are_in_order_by_name(tmp_path):
    mails = tuple(mail("asynclog", number, 1, str(number)) for number in range(100))
    report.write(dataclasses.replace(outcome(), mails={**outcome().mails, "asynclog": mails}), tmp_path)
    files = sorted((tmp_path / report.MAILS).iterdir())
    assert [file.read_bytes() for file in files] == [one.content for one in mails]


def test_a_mails_html_is_in_a_frame_where_nothing_runs_and_its_text_beside_it():
    run = outcome()
    shown = '<p title="a">hello</p><script>alert(2)</script>'
    page = Page(
        report.render(dataclasses.replace(run, mails={**run.mails, "asynclog": (rich_mail(0, 1, NASTY, shown),)}))
    )
    (frame,) = page.frames
    assert frame["sandbox"] == ""  # nothing is allowed
    assert frame["srcdoc"].strip() == shown
    assert "src" not in frame
    assert "script" not in page.tags
    assert NASTY in "".join(page.text)
    assert page.open == []


def test_a_mail_without_html_has_no_frame(written):
    assert Page(written[0]).frames == []


def test_the_page_says_when_the_database_was_down_and_only_then(written):
    said = "s to 12.0 s the shop’s database is down"
    assert said in " ".join(report.render(dataclasses.replace(outcome(), outage=(2.5, 12.0))).split())
    assert "database is down" not in written[0]


def test_a_record_that_is_in_no_mail_is_a_fault_and_the_page_says_so():
    run = outcome(lost=1)
    assert run.faults
    assert "20 is not 19" in run.faults[0]
    assert "Fault:" in report.render(run)


def test_a_request_that_only_asynclog_failed_is_a_fault():
    assert outcome(failing=2).faults == ("asynclog: 2 requests failed that did not fail in the app that logs nowhere",)
    assert outcome().faults == ()


def test_a_folder_that_cannot_be_written_is_found_before_the_run(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        report.prepare(tmp_path / "file" / "report")
    report.prepare(tmp_path / "new" / "report")
    assert list((tmp_path / "new" / "report").iterdir()) == []


def with_files(run, own, wrapped):
    accounts = dict(run.accounts)
    for key, files in (("stdlib", own), ("asynclog", wrapped)):
        accounts[key] = dataclasses.replace(accounts[key], files=files)
    return dataclasses.replace(run, accounts=accounts)


def shown_at_80(run):
    out = Console(file=io.StringIO(), width=80, color_system=None, _environ={})
    table.show(out, run)
    assert max(map(len, out.file.getvalue().splitlines())) <= 80
    return out.file.getvalue()


def test_what_file_handlers_wrote_is_told_or_not_counted_on_the_page_and_in_the_terminal():
    own = FileAccount(700, None, None, {"lost (the handler failed)": 41}, {})
    wrapped = FileAccount(700, 690, 690, {"dropped": 10}, {"given = written + dropped": (700, 700)})
    run = with_files(own_run(), own, wrapped)
    assert run.faults == ()
    page = Page(report.render(run))
    assert page.open == []
    for shown in (" ".join(page.text), shown_at_80(run)):
        files = " ".join(shown.partition("What its file handlers wrote")[2].split())
        for words in ("given to its file handlers 700 700", "found in the files not counted 690", "not counted yes"):
            assert words in files


def test_a_record_that_is_in_no_file_is_a_fault():
    good = FileAccount(7, 7, 7, {}, {"given = found in the files": (7, 7)})
    bad = FileAccount(7, 7, 6, {}, {"given = found in the files": (7, 6)})
    run = with_files(own_run(), good, bad)
    assert run.faults == ("wrapped: given = found in the files: 7 is not 6",)
    assert "Fault:" in report.render(run)
    assert report.numbers(run)["accounts"]["asynclog"]["adds_up"] is False
    assert report.numbers(run)["accounts"]["stdlib"]["adds_up"] is True
    assert "NO" in shown_at_80(run)


def test_an_app_without_file_handlers_has_no_table_of_them():
    assert "file handlers wrote" not in report.render(own_run())
    assert "file handlers wrote" not in shown_at_80(own_run())


def own_run():
    own = OwnApp(
        target="shop.web:app",
        server="gunicorn (gthread, 1 worker, 4 threads)",
        paths=("/checkout", "/<b>"),
        share=0.25,
        logged_by="logger 'shop'",
        redirected=("SMTPHandler: mail for mail.example.com:25 goes elsewhere",),
        report=("wrapped     SMTPHandler on shop",),
        refused={"db.example.com:5432": 1200},
    )
    return dataclasses.replace(outcome(), apps=OWN_APPS, own=own)


def test_the_page_of_a_readers_own_app_says_what_was_served_and_redirected():
    page = Page(report.render(own_run()))
    assert page.open == []
    shown = " ".join("".join(page.text).split())
    for words in (
        "asynclog bench: shop.web:app",
        "served by gunicorn (gthread, 1 worker, 4 threads), is asked for /checkout, /<b> 20 times a second",
        "25 % of the requests log an exception",
        "p99 beside the app without handlers",
        "The app without handlers ran twice",
        "records that its mail handlers were given",
        "mail for mail.example.com:25 goes elsewhere",
        "Connection to db.example.com:5432: refused 1,200 times",
        "logged by logger 'shop'",
    ):
        assert words in shown
    assert shown.count("no handlers, 2nd copy") == 7
    assert "SMTPHandler: " not in shown.replace("SMTPHandler: mail for", "")


def test_a_readers_own_app_has_its_own_words_in_the_terminal_within_80_columns():
    out = Console(file=io.StringIO(), width=80, color_system=None, _environ={})
    table.show(out, own_run())
    shown = out.file.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("own handlers", "wrapped", "given to its mail handlers", "Refused 1,200 times", "without handlers"):
        assert words in shown


def test_the_numbers_of_a_readers_own_app_say_what_it_was():
    numbers = report.numbers(own_run())
    assert numbers["own_app"]["target"] == "shop.web:app"
    assert report.numbers(outcome())["own_app"] is None
    assert picture.draw(own_run(), picture.LIGHT, narrow=True).startswith(b"\x89PNG")


def test_the_page_tells_memory_or_that_it_is_not_told(written):
    assert "".join(Page(written[0]).text).count("31.0 MiB") == 4
    without = report.render(dataclasses.replace(outcome(), memory=dict.fromkeys(outcome().memory)))
    assert " MiB" not in without
    assert "doesn’t tell how much memory" in without
    numbers = json.loads((written[1] / report.NUMBERS).read_text())
    assert numbers["memory"]["asynclog"] == {"held": 30 << 20, "peak": 31 << 20}
    assert numbers["all_states"]["stdlib"]["requests"] == 200
