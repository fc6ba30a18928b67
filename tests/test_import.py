"""What `import asynclog` loads, and what it leaves until it is used: by name, since times vary."""

import sys

import pytest

import asynclog
from asynclog import public
from tests.faults.interpreters import VERSIONS, interpreter, run

HEAVY = ("aiosmtplib", "anyio", "click", "email", "html", "http", "jinja2", "json", "multiprocessing", "rich", "uuid")


def loaded(code, version, folder):
    """Return the modules that are loaded after a statement."""
    ended = run(f"import sys\n{code}\nprint(*sys.modules)", python=interpreter(version), folder=folder)
    assert ended.code == 0, ended
    return set(ended.out.split())


@pytest.mark.parametrize("version", VERSIONS)
def test_importing_loads_nothing_heavy(version, tmp_path):
    after = loaded("import asynclog", version, tmp_path)
    assert after & set(HEAVY) == set()
    new = after - loaded("import asyncio, logging.handlers", version, tmp_path)
    assert new - {"__future__"} == {"asynclog", "asynclog._version", "asynclog.errors", "asynclog.public"}


WRAPPED = {
    "file": "logging.FileHandler('app.log')",
    "mail": "logging.handlers.SMTPHandler(('127.0.0.1', 1), 'a@example.com', ['b@example.com'], 'It failed')",
    "any other": "logging.handlers.BufferingHandler(10)",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED)
def test_no_record_has_its_caller_import_anything(version, wrapped, tmp_path):
    # An audit hook hears of each import, on the thread that makes it.
    script = f"""
import logging, logging.handlers, sys, threading, asynclog
logger = logging.getLogger("shop")
logger.addHandler(asynclog.wrap({wrapped}, exit_timeout=0.1))
heard, main, listening = [], threading.get_ident(), True
def hear(event, args):
    if event == "import" and listening and threading.get_ident() == main:
        heard.append(args[0])
sys.addaudithook(hear)
logger.error("first")
logger.error("with %s", object())
try:
    {{}}["a"]
except KeyError:
    logger.exception("with an exception")
listening = False
print("imported:", heard)
"""
    ended = run(script, python=interpreter(version), folder=tmp_path)
    assert "imported: []" in ended.out, ended


@pytest.mark.parametrize("name", sorted({*asynclog.__all__, *public.HOMES}))
def test_each_public_name_is_what_its_module_has(name):
    assert name in asynclog.__all__
    assert name in dir(asynclog)
    if name in public.HOMES:
        assert getattr(asynclog, name) is getattr(sys.modules[public.HOMES[name]], name)


def test_no_module_hides_a_public_name():
    # Importing asynclog.x puts the module where a function x of the package's was.
    modules = {name.removeprefix("asynclog.") for name in sys.modules if name.startswith("asynclog.")}
    assert modules & set(asynclog.__all__) == set()


def test_a_star_import_brings_every_public_name():
    names = {}
    exec("from asynclog import *", names)
    assert set(asynclog.__all__) <= set(names)


def test_a_name_that_is_not_there_is_refused_as_everywhere():
    with pytest.raises(AttributeError, match="has no attribute 'wrapp'"):
        asynclog.wrapp  # noqa: B018
    with pytest.raises(ImportError):
        exec("from asynclog import wrapp")


@pytest.mark.parametrize(
    "use",
    [
        "from asynclog.testing import MemorySink; handler = MemorySink()",
        "from asynclog.sinks.file import FileSink; handler = FileSink('app.log')",
    ],
)
def test_a_sink_that_is_imported_from_where_it_lives_delivers_on_a_logger_too(use, tmp_path):
    script = f"""
import logging
{use}
logger = logging.getLogger("shop")
logger.addHandler(handler)
logger.error("first")
import asynclog
assert asynclog.flush(20)
assert asynclog.stats()["delivered"] == 1
"""
    ended = run(script, folder=tmp_path)
    assert ended.code == 0, ended


@pytest.mark.parametrize("version", VERSIONS)
def test_what_exit_functions_log_is_delivered_if_they_were_registered_after_the_import(version, tmp_path):
    script = """
import atexit, logging, asynclog
atexit.register(lambda: logging.getLogger("shop").error("at exit"))
logging.getLogger("shop").addHandler(asynclog.wrap(logging.FileHandler("app.log")))
logging.getLogger("shop").error("before")
"""
    ended = run(script, python=interpreter(version), folder=tmp_path)
    assert ended.code == 0, ended
    assert (tmp_path / "app.log").read_text().splitlines() == ["before", "at exit"]
