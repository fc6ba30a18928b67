"""Storm control and its mails over a real connection: from the logging call to the mail server."""

import asyncio
import contextvars
import logging
import logging.handlers
import threading

import pytest

import asynclog
from asynclog.capture.gate import LaneGate, SeveralLanes
from asynclog.testing import faults
from asynclog.testing.smtpd import FaultSMTPServer, running_smtpd
from tests.conftest import check_adds_up, wait_until

user = contextvars.ContextVar("user", default="nobody")


@pytest.fixture
def served():
    """Run a server on a thread of its own and return it."""
    loops = []

    def run(*args, **options):
        server = FaultSMTPServer(*args, **options)
        ready, ended = threading.Event(), threading.Event()

        def serve():
            async def main():
                async with server:
                    loops.append((asyncio.get_running_loop(), stop := asyncio.Event(), thread))
                    ready.set()
                    await stop.wait()

            try:
                asyncio.run(main())
            finally:
                ended.set()

        thread = threading.Thread(target=serve)
        thread.start()
        assert ready.wait(30)
        return server

    yield run
    for loop, stop, thread in loops:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


def sink_to(server, **options):
    return asynclog.SMTPSink(server.url, sender="app@example.com", recipients="ops@example.com", **options)


def shipped(logger, *handlers, **options):
    handler = asynclog.wrap(*handlers, **options)
    logger.addHandler(handler)
    return handler.listener


def distinct(server):
    return list({mail.message_id: mail for mail in server.mails}.values())


def counted(server):
    return sum(mail.count for mail in distinct(server))


def text_of(mail):
    return mail.message.get_body(("plain",)).get_content()


def fail(logger, number=0):
    try:
        raise ValueError(f"order {number} is not a number")
    except ValueError:
        logger.exception("checkout failed")


def fail_otherwise(logger):
    try:
        {}["stock"]
    except KeyError:
        logger.exception("no stock")


def test_the_first_error_is_with_the_server_at_once(logger, served):
    server = served()
    shipped(logger, sink_to(server, app="shop"))
    fail(logger, 7)
    wait_until(lambda: server.mails)
    mail = server.mails[0]
    assert mail.count == 1
    assert "ValueError" in mail.message["Subject"]
    assert "order 7 is not a number" in text_of(mail)
    assert "raise ValueError" in text_of(mail)


def test_no_mail_ever_shows_a_local_variable(logger, served):
    server = served()
    listener = shipped(logger, sink_to(server))

    def pay(card):
        raise ValueError("declined")

    for _ in range(3):
        try:
            pay("2retnuh"[::-1])  # the line itself is in the traceback
        except ValueError:
            logger.exception("checkout failed")
    assert listener.flush(60)
    assert server.mails
    # Whole: text and HTML, whatever they are encoded in.
    parts = [part for mail in server.mails for part in mail.message.walk() if not part.is_multipart()]
    assert all("hunter2" not in part.get_content() for part in parts)


def test_a_thousand_equal_errors_are_two_mails_and_no_record_is_miscounted(logger, served):
    server = served()
    listener = shipped(logger, sink_to(server))
    for number in range(1000):
        fail(logger, number)
    assert listener.flush(60)
    assert counted(server) == 1000
    assert len(server.mails) <= 3
    stats = listener.stats()
    assert stats["delivered"] == 1000
    check_adds_up(stats)
    assert "1000" in "".join(map(text_of, server.mails)).replace(",", "")


def test_a_mail_that_is_retried_is_the_same_mail_and_says_that_it_was_held_up(logger, served):
    server = served(faults.answers({"MAIL": "451 try again later"}))
    listener = shipped(logger, sink_to(server), retry_initial=0.05, retry_max=0.1)
    for number in range(20):
        fail(logger, number)
    wait_until(lambda: listener.stats()["errors"].get("attempt_failed"))
    server.behaviour = faults.healthy()
    assert listener.flush(60)
    assert counted(server) == 20
    check_adds_up(listener.stats())
    assert "the mail server refused it from" in text_of(server.mails[0])
    assert "451" in text_of(server.mails[0])


def test_a_restarted_server_gets_the_rest_and_the_counts_add_up(logger, served):
    first = served()
    listener = shipped(logger, sink_to(first), retry_initial=0.05, retry_max=0.1, breaker_reset=0.1)
    fail(logger)
    wait_until(lambda: first.mails)
    first.behaviour = faults.refusing()
    for number in range(50):
        fail(logger, number)
    fail_otherwise(logger)
    assert not listener.flush(0.5)
    assert listener.pending() == 51
    first.behaviour = faults.healthy()
    assert listener.flush(60)
    assert counted(first) == 52
    check_adds_up(listener.stats())


def test_stopping_delivers_what_is_held(logger, served):
    server = served()
    listener = shipped(logger, sink_to(server))
    fail(logger)
    wait_until(lambda: server.mails)
    for number in range(30):
        fail(logger, number)
        fail_otherwise(logger)
    assert listener.stop(30)
    assert counted(server) == 61
    assert listener.stats()["delivered"] == 61


def test_records_that_a_file_has_too_are_settled_exactly_once(logger, served, tmp_path):
    server = served()
    listener = shipped(logger, sink_to(server, level="ERROR"), asynclog.FileSink(tmp_path / "app.log"))
    for number in range(200):
        logger.info("step %d", number)
        fail(logger, number)
    assert listener.flush(60)
    stats = listener.stats()
    assert (stats["delivered"], stats["pending"]) == (400, 0)
    assert counted(server) == 200
    check_adds_up(stats)


def test_two_mail_sinks_with_the_same_records_settle_exactly_once(logger, served):
    one, two = served(), served()
    listener = shipped(logger, sink_to(one), sink_to(two, digest_interval=(1, 2)))
    for number in range(100):
        fail(logger, number)
    assert listener.flush(60)
    assert counted(one) == counted(two) == 100
    check_adds_up(listener.stats())


def test_a_mail_that_is_refused_for_good_is_tried_as_plain_text_once_and_then_counted(logger, served):
    server = served(faults.answers({"message": "554 looks like spam"}))
    listener = shipped(logger, sink_to(server))
    fail(logger)
    assert listener.flush(60)
    stats = listener.stats()
    assert stats["dead_lettered"] == 1
    check_adds_up(stats)


def test_a_formatter_of_the_users_runs_in_the_callers_context(logger, served):
    class WithUser(logging.Formatter):
        def format(self, record):
            return f"{user.get()}: {super().format(record)}"

    server = served()
    listener = shipped(logger, sink_to(server, formatter=WithUser()))
    for number in range(50):
        contextvars.copy_context().run(lambda n=number: (user.set(f"user-{n}"), fail(logger, n)))
    assert listener.flush(60)
    assert counted(server) == 50
    assert "user-0: checkout failed" in "".join(map(text_of, server.mails))


def test_a_fingerprint_of_the_users_makes_the_groups_in_the_callers_context(logger, served):
    server = served()
    listener = shipped(logger, sink_to(server, fingerprint=lambda record: user.get()))
    for number in range(60):
        contextvars.copy_context().run(lambda n=number: (user.set(f"tenant-{n % 3}"), fail(logger, n)))
    assert listener.flush(60)
    assert counted(server) == 60
    groups = {group for mail in server.mails for group in mail.message["X-Asynclog-Group"].split(", ")}
    assert len(groups) == 3


def test_a_recipient_that_the_server_does_not_know_keeps_nobody_else_from_the_mail(logger, served):
    server = served(faults.refuses_recipients({"gone@example.com": "550 no such user"}))
    sink = asynclog.SMTPSink(server.url, sender="a@example.com", recipients=["gone@example.com", "ops@example.com"])
    listener = shipped(logger, sink)
    for number in range(10):
        fail(logger, number)
    assert listener.flush(60)
    assert counted(server) == 10
    assert listener.stats()["delivered"] == 10
    assert {mail.recipients for mail in server.mails} == {("ops@example.com",)}


def test_drops_are_told_in_a_mail_that_counts_none_of_them(logger, served):
    server = served()
    listener = shipped(logger, sink_to(server), maxsize=10)
    listener.stop()
    for number in range(30):
        logger.error("n%d", number)
    listener.start()
    assert listener.flush(60)
    assert counted(server) == listener.stats()["delivered"] == 10
    assert any("asynclog dropped 20 records" in text_of(mail) for mail in server.mails)


def test_secrets_are_in_no_mail(logger, served):
    server = served()
    listener = shipped(logger, sink_to(server))
    logger.error("login failed: password=hunter2-s3cret", extra={"api_key": "k-12345-abcdef"})
    assert listener.flush(60)
    whole = "".join(mail.message.as_string() for mail in server.mails)
    assert counted(server) == 1
    assert "hunter2" not in whole
    assert "k-12345" not in whole


def test_without_digests_every_record_is_a_mail(logger, served):
    server = served()
    listener = shipped(logger, sink_to(server, digest=False))
    for number in range(5):
        fail(logger, number)
    assert listener.flush(60)
    assert [mail.count for mail in server.mails] == [1] * 5


def test_without_digests_a_rate_bounds_mails_and_not_batches(logger, served, tmp_path):
    server = served()
    files = asynclog.FileSink(tmp_path / "app.log")
    listener = shipped(logger, sink_to(server, digest=False, rate="3/hour", burst=3), files, batch_records=50)

    def of_file():
        return next(counts for name, counts in listener.stats()["lanes"].items() if name.startswith("file"))

    for number in range(10):
        fail(logger, number)
    # The server has a mail before its sender knows.
    wait_until(lambda: len(server.mails) == 3 and of_file()["delivered"] == 10 and listener.stats()["pending"] == 7)
    assert listener.flush(60), "a flush asks for all of it"
    assert [mail.count for mail in server.mails] == [1] * 10


# -- what a mail shows besides the record ----------------------------------------------------------


def stock_handler(server, **options):
    handler = logging.handlers.SMTPHandler(("127.0.0.1", server.port), "app@example.com", ["ops@example.com"], "Broken")
    handler.setFormatter(options.pop("formatter", None))
    return handler


def test_a_lone_error_of_a_standard_handler_stays_its_own_mail_and_later_ones_are_counted(logger, served):
    server = served()
    listener = shipped(logger, stock_handler(server, formatter=logging.Formatter("%(levelname)s %(message)s")))
    logger.error("it broke, password=hunter2")
    wait_until(lambda: server.mails)
    first = server.mails[0].message
    assert (first.get_content_type(), first["Subject"]) == ("text/plain", "Broken")
    assert first.get_content().strip() == "ERROR it broke, password=hunter2"
    for _ in range(9):
        logger.error("it broke, password=hunter2")
    assert listener.flush(60)
    assert counted(server) == 10
    assert server.mails[-1].message.is_multipart()
    assert "hunter2" not in server.mails[-1].message.as_string()


def test_rich_lays_a_lone_error_of_a_standard_handler_out_too(logger, served):
    server = served()
    shipped(logger, stock_handler(server), rich=True)
    fail(logger)
    wait_until(lambda: server.mails)
    assert server.mails[0].message.is_multipart()


def test_redact_hides_secrets_in_a_standard_handlers_lone_error_too(logger, served):
    server = served()
    shipped(logger, stock_handler(server), redact=["iban"])
    logger.error("it broke, password=hunter2 iban=DE12")
    wait_until(lambda: server.mails)
    text = server.mails[0].message.get_content()
    assert "hunter2" not in text
    assert "DE12" not in text


def test_an_error_tells_what_its_request_was_and_what_led_up_to_it(logger, served, tmp_path):
    server = served()
    asked = []

    def facts():
        asked.append(1)
        return {"tenant": "blue-lagoon", "session": "s-secret"}

    listener = shipped(
        logger,
        sink_to(server, level="ERROR"),
        asynclog.FileSink(tmp_path / "app.log", formatter=asynclog.JSONFormatter()),
        context=facts,
        lead_up=5,
    )

    def request():
        logger.info("looking up the cart of %s", "mia")
        fail(logger)

    contextvars.copy_context().run(lambda: logger.info("of another request"))
    contextvars.copy_context().run(request)
    assert listener.flush(60)
    text = text_of(server.mails[0])
    assert "blue-lagoon" in text
    assert "looking up the cart of mia" in text
    assert "of another request" not in text
    assert "s-secret" not in server.mails[0].message.as_string()
    assert len(asked) == 1, "only asked about errors"
    assert "blue-lagoon" not in (tmp_path / "app.log").read_text()


def test_a_context_provider_that_raises_costs_its_facts_and_nothing_else(logger, served):
    server = served()
    listener = shipped(logger, sink_to(server), context=[lambda: 1 / 0, lambda: {"tenant": "blue-lagoon"}])
    fail(logger)
    assert listener.flush(60)
    assert "blue-lagoon" in text_of(server.mails[0])
    assert listener.stats()["errors"]["context_error"] == 1


def test_templates_of_the_users_lay_a_mail_out(logger, served, tmp_path):
    (tmp_path / "digest.txt.j2").write_text("OURS: {{ mail.headline or mail.groups[0].headline }}\n")
    server = served()
    listener = shipped(logger, sink_to(server, templates=tmp_path))
    fail(logger)
    assert listener.flush(60)
    assert text_of(server.mails[0]).startswith("OURS: ")


def test_a_handler_wrapped_alone_keeps_the_shortest_path_unless_facts_are_wanted(logger, served):
    server = served()
    assert isinstance(shipped(logger, sink_to(server)).inner.gate.only, LaneGate)
    assert isinstance(shipped(logger, sink_to(server), context=dict).inner.gate.only, SeveralLanes)
    assert isinstance(shipped(logger, sink_to(server), lead_up=3).inner.gate.only, SeveralLanes)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"digest_interval": 60}, TypeError, "digest_interval=60"),
        ({"digest_interval": (60, 30)}, ValueError, "digest_interval="),
        ({"fingerprint": "x"}, TypeError, "fingerprint='x'"),
        ({"redact": 7}, TypeError, "redact=7"),
        ({"context": "x"}, TypeError, "context='x'"),
        ({"lead_up": -1}, ValueError, "lead_up=-1"),
        ({"rich": 1}, TypeError, "rich=1"),
        ({"templates": "/nowhere/at/all"}, ValueError, "templates="),
        ({"digest": False, "digest_interval": (1, 2)}, ValueError, "digest_interval="),
        ({"digest": False, "lead_up": 3}, ValueError, "lead_up=3"),
    ],
)
def test_options_are_checked_when_given_at_every_door(options, kind, text):
    where = {"sender": "a@example.com", "recipients": "b@example.com"}
    with pytest.raises(kind, match=text):
        asynclog.SMTPSink("smtp://localhost", **where, **options)
    sink = asynclog.SMTPSink("smtp://localhost", **where)
    with pytest.raises(kind, match=text):
        asynclog.wrap(sink, **options)
    with pytest.raises(kind, match=text):
        asynclog.wrap(logging.handlers.SMTPHandler("localhost", "a@b.c", ["d@e.f"], "s"), **options)
    with pytest.raises(kind, match=text):
        sink.configure(**options)


def test_a_template_that_fails_costs_its_looks_and_is_told(logger, served, tmp_path):
    (tmp_path / "digest.html.j2").write_text("{% for one in mail.groups %}{{ 1 // (one.count - 7) }}{% endfor %}")
    server = served()
    listener = shipped(logger, sink_to(server, templates=tmp_path))
    fail(logger)
    wait_until(lambda: server.mails)
    for number in range(7):
        fail(logger, number)
    assert listener.flush(60)
    assert counted(server) == 8
    assert [mail.message.is_multipart() for mail in server.mails] == [True, False]
    assert listener.stats()["errors"]["template_error"] == 1
    check_adds_up(listener.stats())


def test_a_mail_too_large_for_the_server_goes_in_short(logger, served):
    server = served(faults.refuses_large(9_000))
    listener = shipped(logger, sink_to(server))
    for number in range(50):
        logger.error("it broke %s", "at length " * 3000)
        fail(logger, number)
    assert listener.flush(60)
    assert counted(server) == 100
    check_adds_up(listener.stats())


def test_a_wrapped_handlers_digest_is_seven_bit_clean(logger):
    with running_smtpd() as server:
        handler = asynclog.wrap(
            logging.handlers.SMTPHandler((server.host, server.port), "a@example.com", ["b@example.com"], "Failed")
        )
        logger.addHandler(handler)
        for _ in range(20):
            logger.error("größer als 日本語")
        assert handler.listener.flush(20)
        digest = server.mails[-1].data
    assert digest.isascii()
    assert b"Content-Transfer-Encoding: 8bit" not in digest


@pytest.mark.parametrize("mail_first", [True, False])
def test_installed_handlers_share_what_led_up_to_an_error_where_it_is_asked_for(logger, served, tmp_path, mail_first):
    server = served()
    files = [logging.FileHandler(tmp_path / name) for name in ("a.log", "b.log")]
    mail = sink_to(server, level="ERROR")
    for handler in [mail, *files] if mail_first else [*files, mail]:
        logger.addHandler(handler)
    asynclog.install(logger, lead_up=5)
    try:

        def request():
            logger.info("looking up the cart of %s", "mia")
            fail(logger)

        contextvars.copy_context().run(lambda: logger.info("of another request"))
        contextvars.copy_context().run(request)
        assert asynclog.flush(60)
    finally:
        assert asynclog.uninstall()
    text = text_of(server.mails[0])
    assert text.count("looking up the cart of mia") == 1
    assert "of another request" not in text
    before = text.partition("--- Before it")[2].partition("---")[0]
    assert "checkout failed" not in before, "the error did not lead up to itself"


def test_handlers_installed_later_share_it_too_and_without_being_asked_none_pays_for_it(logger, served, tmp_path):
    server = served()
    logger.addHandler(logging.FileHandler(tmp_path / "a.log"))
    asynclog.install(logger)
    try:
        file_door = logger.handlers[0]
        assert isinstance(file_door.door.only, LaneGate)
        logger.addHandler(sink_to(server, level="ERROR"))
        asynclog.install(logger)
        assert all(isinstance(door.door.only, LaneGate) for door in logger.handlers)
        logger.addHandler(sink_to(server, level="ERROR"))
        asynclog.install(logger, lead_up=3)
        assert [door.door.lead_up is not None for door in logger.handlers] == [True] * 3
        assert len({id(door.door.lead_up) for door in logger.handlers}) == 1
    finally:
        asynclog.uninstall()
