"""The accounts: every error that was raised, to the last one."""

import pytest

from asynclog.trial.accounts import Mail, asynclog_account, mails_of, nowhere_account, own_account, stdlib_account


def mail(sender="asynclog@shop.example", at=1.0, **headers):
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return Mail(at, sender, ("admin@shop.example",), (head + "\r\nbody\r\n").encode())


def stats(accepted, delivered, *, dropped=None, dead_lettered=0, spooled=0, pending=0):
    return {
        "accepted": accepted,
        "delivered": delivered,
        "dropped": dropped or {},
        "dead_lettered": dead_lettered,
        "spooled": spooled,
        "pending": pending,
    }


def test_a_mail_that_came_twice_counts_once():
    first = mail(Message_ID="<a@b>", X_Asynclog_Count=3)
    again = mail(Message_ID="<a@b>", X_Asynclog_Count=3, at=2.0)
    other = mail(Message_ID="<c@b>", X_Asynclog_Count=4)
    assert mails_of("asynclog", [first, again, other]) == (first, other)


def test_mails_without_an_id_are_each_of_their_own_and_of_their_app():
    mails = [mail("stdlib@shop.example"), mail("stdlib@shop.example"), mail()]
    assert len(mails_of("stdlib", mails)) == 2
    assert len(mails_of("asynclog", mails)) == 1
    assert mails_of("nowhere", mails) == ()


def test_counts_in_the_mails_add_up_to_what_was_raised():
    mails = (mail(X_Asynclog_Count=1), mail(X_Asynclog_Count=41))
    account = asynclog_account(42, mails, stats(42, 42), "")
    assert account.adds_up
    assert (account.mails, account.announced) == (2, 42)


def test_what_was_dropped_or_left_at_exit_is_accounted_for():
    mails = (mail(X_Asynclog_Count=10),)
    final = stats(1024, 10, dropped={"overflow": 3, "too_big": {"ERROR": 2}}, dead_lettered=1, spooled=4, pending=1004)
    account = asynclog_account(1024, mails, final, "noise\nasynclog: 1,004 records left, no spool was given\n")
    assert account.adds_up
    assert dict(account.rest) == {"dropped": 5, "dead-lettered": 1, "spooled": 4, "left at exit": 1004}


@pytest.mark.parametrize(
    ("raised", "count", "final", "stderr"),
    [
        (43, 42, stats(42, 42), ""),  # one was never accepted
        (42, 41, stats(42, 42), ""),  # one is in no mail although it was delivered
        (42, 42, stats(42, 41), ""),  # one has no outcome
        (42, 41, stats(42, 41, pending=1), ""),  # one was left and nobody said so
        (42, 43, stats(42, 42), ""),  # one came twice under two ids
    ],
)
def test_one_error_too_few_or_too_many_is_noticed(raised, count, final, stderr):
    assert not asynclog_account(raised, (mail(X_Asynclog_Count=count),), final, stderr).adds_up


def test_what_the_standard_handler_could_not_send_is_counted_on_stderr():
    mails = (mail("stdlib@shop.example"),) * 2
    stderr = "--- Logging error ---\nTraceback …\n--- Logging error ---\nTraceback …\n"
    assert stdlib_account(4, mails, stderr).adds_up
    assert not stdlib_account(5, mails, stderr).adds_up


def test_an_app_that_logs_nowhere_sends_no_mail():
    assert nowhere_account(5, ()).adds_up
    assert not nowhere_account(5, (mail("nowhere@shop.example"),)).adds_up


NO_FILES = {"handlers": 0, "given": 0, "lanes": [], "failed": 0, "written": 0, "on_disk": 0}


def own(given, *lanes, failed=0, pending=0, exact=True, files=NO_FILES):
    return {
        "given": given,
        "failed": failed,
        "mail_lanes": lanes,
        "stats": {"pending": pending},
        "exact": exact,
        "files": files,
    }


def test_mails_can_be_told_apart_by_where_they_came_in():
    mails = [Mail(1.0, "a@b.c", ("d@e.f",), b"\r\n", box) for box in (0, 1, 1)]
    assert mails_of("1", mails, lambda mail: str(mail.box)) == tuple(mails[1:])


def test_what_a_readers_mail_handlers_were_given_is_in_mails_or_lost():
    mails = (mail("a@b.c"), mail("a@b.c"))
    assert own_account(own(5, failed=3), mails, "").adds_up
    assert dict(own_account(own(5, failed=3), mails, "").rest) == {"lost (the handler failed)": 3}
    assert not own_account(own(6, failed=3), mails, "").adds_up


def test_what_a_readers_wrapped_mail_handlers_were_given_is_told_of_or_accounted_for():
    mails = (mail(X_Asynclog_Count=7),)
    lanes = stats(9, 7, dropped={"overflow": 1}, pending=1), stats(2, 0, dead_lettered=1, spooled=1)
    account = own_account(own(11, *lanes, pending=1), mails, "asynclog: 1 record left")
    assert account.adds_up
    assert dict(account.rest) == {"dropped": 1, "dead-lettered": 1, "spooled": 1, "left at exit": 1}
    assert not own_account(own(12, *lanes, pending=1), mails, "asynclog: 1 record left").adds_up
    assert not own_account(own(11, *lanes, pending=1), mails, "").adds_up


def test_a_handler_that_sends_what_it_likes_is_not_held_to_a_mail_a_record():
    assert own_account(own(5, exact=False), (mail("a@b.c"),), "").adds_up


def files(given, *lanes, written, on_disk, failed=0):
    counts = {"handlers": 1, "given": given, "lanes": lanes, "failed": failed, "written": written, "on_disk": on_disk}
    return own_account(own(0, files=counts), (), "").files


def test_an_app_without_file_handlers_has_no_account_of_files():
    assert own_account(own(0), (), "").files is None


def test_what_a_readers_file_handlers_were_given_is_in_the_files_or_lost():
    account = files(5, written=3, on_disk=3, failed=2)
    assert account.adds_up
    assert dict(account.rest) == {"lost (the handler failed)": 2}
    assert not files(5, written=3, on_disk=2, failed=2).adds_up
    assert not files(5, written=5, on_disk=6).adds_up


def test_what_wrapped_file_handlers_were_given_adds_up_by_asynclogs_counts_and_by_the_files():
    lane = stats(5, 3, dropped={"overflow": 1}, pending=1)
    assert files(5, lane, written=3, on_disk=None).adds_up
    assert not files(6, lane, written=3, on_disk=None).adds_up
    assert not files(5, stats(5, 5), written=5, on_disk=4).adds_up


def test_where_nothing_was_counted_twice_there_is_nothing_to_add_up():
    assert files(5, written=None, on_disk=None).checks == {}
    assert files(5, written=5, on_disk=None).checks == {}
