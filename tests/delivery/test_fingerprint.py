"""Which records are one group."""

import json
import logging
import os
import subprocess
import sys
import textwrap

import pytest

from asynclog.capture.exception import capture_exc_info
from asynclog.delivery.fingerprint import Fingerprinter
from asynclog.delivery.normal import normal_template
from asynclog.render.app_frames import is_app_file
from asynclog.values import Captured

SHOP = """
    import json


    class Refused(Exception):
        pass


    def pay(order):
        if order < 0:
            raise Refused(f"order {order} refused")
        raise ValueError(f"order {order} is odd")


    def checkout(order):
        pay(order)


    def handle(order):
        checkout(order)


    def from_web(order):
        handle(order)


    def from_queue(order):
        handle(order)


    def deep(depth):
        if depth == 0:
            raise ValueError("bottom")
        deep(depth - 1)


    def endless(n):
        return other(n + 1)


    def other(n):
        len(str(n))
        return endless(n)


    def twice(first):
        if first:
            raise ValueError("x")
        else:
            raise ValueError("x")


    def chained(order):
        try:
            pay(order)
        except Exception as error:
            raise RuntimeError("while paying") from error


    def parse(text):
        return json.loads(text)


    def several(orders):
        errors = []
        for order in orders:
            try:
                pay(order)
            except Exception as error:
                errors.append(error)
        raise ExceptionGroup("several", errors)
"""

MAIN = """
    import json, logging, sys
    sys.path.insert(0, sys.argv[1])
    import shop
    from asynclog.capture.exception import capture_exc_info
    from asynclog.delivery.fingerprint import Fingerprinter

    found = {}
    def note(name, function, *args):
        try:
            function(*args)
        except Exception:
            record = logging.LogRecord("shop", 40, sys.argv[1] + "/shop.py", 13, "m", None, None, "pay")
            found[name] = Fingerprinter().of(record.__dict__, capture_exc_info(sys.exc_info())).id

    note("odd", shop.from_web, 3)
    note("refused", shop.from_web, -3)
    note("chained", shop.chained, 3)
    note("deep", shop.deep, 30)
    note("several", shop.several, [1, -1])
    record = logging.LogRecord("shop", 40, sys.argv[1] + "/shop.py", 13, "order %d", (1,), None, "pay")
    found["message"] = Fingerprinter().of(record.__dict__, None).id
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "shop.py").write_text(textwrap.dedent(SHOP))
    sys.path.insert(0, str(folder))
    try:
        import shop

        yield shop
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("shop", None)


def record(message="m", args=None, level=40, name="shop", path="/srv/shop/views.py", line=1, **extra):
    made = logging.LogRecord(name, level, path, line, message, args, None, "view")
    made.__dict__.update(extra)
    return made.__dict__


def of(function, *args, by=None, fields=None):
    try:
        function(*args)
    except Exception:
        captured = capture_exc_info(sys.exc_info())
    return (by or Fingerprinter()).of(fields or record(), captured)


ANOTHER_HOST = """
import os, platform, socket
socket.gethostname = socket.getfqdn = platform.node = lambda *_: "web-2.example.com"
os.uname = lambda: os.uname_result(("Linux", "web-2", "9.9", "#1", "riscv64"))
os.getpid = lambda: 7
"""


def run_in(folder, line_shift="", host=""):
    folder.mkdir(parents=True)
    (folder / "shop.py").write_text(line_shift + textwrap.dedent(SHOP))
    (folder / "main.py").write_text(host + textwrap.dedent(MAIN))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "random"}
    out = subprocess.run(
        [sys.executable, str(folder / "main.py"), str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=True,
    )
    return json.loads(out.stdout)


def test_keys_are_equal_across_processes_hosts_and_checkouts_in_other_directories(tmp_path):
    one = run_in(tmp_path / "releases" / "1")
    other = run_in(tmp_path / "elsewhere" / "deeper" / "2", host=ANOTHER_HOST)
    assert one == other
    assert len(set(one.values())) == len(one) == 6


def test_a_deploy_that_moves_lines_keeps_the_keys_of_exceptions(tmp_path):
    one = run_in(tmp_path / "1")
    other = run_in(tmp_path / "2", line_shift="# a new line\n" * 7)
    for found in (one, other):
        del found["message"]  # its call site is given by hand
    assert one == other


def test_numbers_in_the_exceptions_message_make_no_group(shop):
    assert of(shop.from_web, 3).id == of(shop.from_web, 4).id


def test_two_raises_in_one_function_are_two_groups(shop):
    assert of(shop.from_web, 3).id != of(shop.from_web, -3).id
    assert of(shop.twice, True).id != of(shop.twice, False).id


def test_two_routes_through_the_same_innermost_app_frames_are_one_group(shop):
    assert of(shop.from_web, 3).id == of(shop.from_queue, 3).id


def test_two_callers_within_the_innermost_three_are_two_groups(shop):
    assert of(shop.checkout, 3).id != of(shop.pay, 3).id


@pytest.mark.parametrize("depth", [1, 2, 50, 200])
def test_the_depth_of_a_recursion_makes_no_group(shop, depth):
    assert of(shop.deep, depth).id == of(shop.deep, 0).id


def test_a_recursion_without_end_is_one_group_wherever_it_is_cut_off(shop):
    limit = sys.getrecursionlimit()
    found = set()
    try:
        for extra in range(4):
            sys.setrecursionlimit(300 + extra)
            found.add(of(shop.endless, 0).id)
    finally:
        sys.setrecursionlimit(limit)
    assert len(found) == 1


def test_the_root_cause_and_the_outer_type_tell(shop):
    chained, plain = of(shop.chained, 3), of(shop.pay, 3)
    assert chained.id != plain.id
    assert (chained.exc_type, chained.root_type) == ("RuntimeError", "ValueError")
    assert chained.id != of(shop.chained, -3).id
    assert chained.place == "shop.pay"


def test_library_frames_make_no_place(shop):
    found = of(shop.parse, "{")
    assert found.place == "shop.parse"
    assert found.exc_type == "json.decoder.JSONDecodeError"
    assert found.id == of(shop.parse, '{"a": nothing').id


def test_without_app_frames_the_libraries_count():
    def captured(text):
        try:
            json.loads(text)
        except ValueError as error:
            tb = error.__traceback__.tb_next
            return capture_exc_info((type(error), error.with_traceback(tb), tb))

    by = Fingerprinter()
    found = by.of(record(), captured("{"))
    assert found.place.startswith("json.")
    assert found.id == by.of(record(), captured("[{")).id


def test_a_group_is_the_set_of_its_leaves(shop):
    by = Fingerprinter()
    assert of(shop.several, [1, -1], by=by).id == of(shop.several, [-1, 3, 5, -7], by=by).id
    assert of(shop.several, [1, -1], by=by).id != of(shop.several, [1], by=by).id
    assert of(shop.several, [1], by=by).place == "shop.pay"


def test_what_is_known_is_not_looked_at_again(shop, monkeypatch):
    by = Fingerprinter()
    first = of(shop.from_web, 3, by=by)
    monkeypatch.setattr("asynclog.delivery.fingerprint.frame_keys", None)
    assert of(shop.from_web, 3, by=by) is first


def test_an_exception_that_was_never_raised_goes_by_its_type():
    by = Fingerprinter()
    found = [by.of(record(), capture_exc_info((kind, kind("x"), None))) for kind in (ValueError, ValueError, KeyError)]
    assert found[0].id == found[1].id != found[2].id


def test_without_an_exception_logger_level_template_and_call_site_tell():
    by = Fingerprinter()
    base = by.of(record("order %d", (1,)), None)
    assert by.of(record("order %d", (2,)), None) is base
    assert by.of(record("orders %d", (2,)), None).id != base.id
    assert by.of(record("order %d", (2,), level=30), None).id != base.id
    assert by.of(record("order %d", (2,), name="other"), None).id != base.id
    assert by.of(record("order %d", (2,), path="/srv/shop/models.py"), None).id != base.id
    assert by.of(record("order %d", (2,), path="/home/me/shop/views.py"), None).id == base.id
    assert base.place == "views.view"


def test_a_message_merged_on_the_caller_goes_by_its_template():
    by = Fingerprinter()
    captured = Captured()
    captured.template = "user %s failed"
    one = by.of(record("user anna failed"), captured)
    assert by.of(record("user bert failed"), captured) is one


def test_what_differs_in_an_f_string_makes_no_group():
    by = Fingerprinter()
    found = {by.of(record(f"order {number} of user-{number} took {number / 7} s"), None).id for number in range(1000)}
    assert len(found) == 1
    assert by.of(record("payment 5 failed"), None).id not in found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 12 failed", "order 1234567 failed"),
        ("took 0.25 s", "took 1,250.5e-3 s"),
        ("<Order object at 0x7f2cc71a27f0>", "<Order object at 0x7f2cc74a2b90>"),
        ("order 123e4567-e89b-12d3-a456-426614174000", "order 00112233-4455-6677-8899-aabbccddeeff"),
        ("commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "commit d0ae598"),
        ("from 10.0.0.1 port 80", "from 192.168.17.4 port 51234"),
        ("from fe80::1ff:fe23:4567:890a", "from 2001:db8:85a3::8a2e:370:7334"),
        ("no mail to anna@example.com", "no mail to bert.x@mail.example.org"),
        ("session sk_9f8e7d6c5b4a", "session sk_1a2b3c4d5e6f"),
        ("at 2026-11-22 03:12:45,123", "at 2027-01-02 13:02:05,999"),
    ],
)
def test_numbers_ids_and_addresses_are_normalised(one, other):
    assert normal_template(one) == normal_template(other)


def test_words_are_not_normalised():
    text = "connection refused by the payment-provider backend, giving up"
    assert normal_template(text) == text
    assert normal_template("decade added") == "decade added"


def test_a_long_hostile_message_takes_no_time():
    for text in ("a-" * 5000, "a@" * 5000, "1:" * 5000, "." * 10_000, "a1_" * 3000):
        normal_template(text)


def test_a_record_can_name_its_group(shop):
    by = Fingerprinter(lambda record: "never asked")
    one = of(shop.pay, 3, by=by, fields=record(asynclog_group="payments"))
    other = by.of(record(asynclog_group="payments"), None)
    assert one is other
    assert one.place == "shop.pay"


def test_a_function_can_name_the_group_or_leave_it():
    by = Fingerprinter(lambda record: "slow" if "slow" in record.getMessage() else None)
    assert by.of(record("slow query", line=1), None) is by.of(record("a slow page", line=2), None)
    assert by.of(record("other"), None).id == Fingerprinter().of(record("other"), None).id


def test_a_function_gets_the_exception_and_cannot_change_the_record(shop):
    seen = []

    def name(record):
        seen.append(record.exc_info[0])
        record.msg = "changed"
        return "x"

    fields = record()
    of(shop.pay, 3, by=Fingerprinter(name), fields=fields)
    assert seen == [ValueError]
    assert fields["msg"] == "m"


def test_a_function_that_raises_is_told_and_the_default_stands_in():
    told = []
    by = Fingerprinter(lambda record: 1 / 0, told.append)
    assert by.of(record("x"), None).id == Fingerprinter().of(record("x"), None).id
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_an_odd_record_gets_its_loggers_group():
    told = []
    by = Fingerprinter(on_error=told.append)
    assert by.of(record("x", path=["no path"]), None).id == by.of(record("y", path={}), None).id
    assert len(told) == 2


def test_a_long_template_goes_by_its_beginning():
    by = Fingerprinter()
    assert by.of(record("x" * 10_000 + "%s", (1,)), None) is by.of(record("x" * 20_000 + "%s", (1,)), None)


def test_a_message_that_is_no_string_has_a_group_too():
    by = Fingerprinter()
    assert by.of(record({"event": "paid", "order": 1}), None) is by.of(record({"event": "paid", "order": 2}), None)
    assert by.of(record(12), None) is by.of(record(13), None)


def test_installed_packages_and_the_standard_library_are_not_the_app():
    assert is_app_file("/srv/shop/views.py")
    assert is_app_file("<stdin>")
    assert not is_app_file(json.__file__)
    assert not is_app_file(pytest.__file__)
    assert not is_app_file("/usr/lib/python3/dist-packages/flask/app.py")
    assert not is_app_file("<frozen importlib._bootstrap>")
