"""How long `import asynclog` takes, what it imports, and how soon the first record has arrived."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.mail_server import MailServer
from benchmarks.result import Claim, Column, Picture, Progress, Result, Scale, Table
from benchmarks.rounds import Spread, in_turn, ratios

TITLE = "How long starting takes"
MINUTES = (0.6, 0.2)

BASE, OURS = "import asyncio, logging.handlers", "import asynclog"
#: `asynclog` loads its parts when one of its names is used: this is what an app really pays.
USED = "from asynclog import wrap"
#: The same with a mail handler wrapped, which loads the mail library, the templates and the loop's framework.
WRAPPED = f"{USED}, and wrap an SMTPHandler"
_CODE = {
    WRAPPED: f"{BASE}; {USED}; wrap(logging.handlers.SMTPHandler('127.0.0.1', 'a@b.example', 'c@b.example', 'failed'))"
}
_STATEMENTS = (BASE, OURS, USED, WRAPPED)
_HOME = str(Path(__file__).resolve().parent.parent)
_GIVE_UP = 60.0

# What is timed is the statement alone: the interpreter's own start is the same for both.
_TIMED = """
import sys, time
sys.path[:0] = {path!r}
began = time.perf_counter()
{statement}
print(time.perf_counter() - began)
"""
_IMPORT_TIME = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)$", re.MULTILINE)


def run(scale: Scale, progress: Progress) -> Result:
    """Measure in fresh processes, which take turns."""
    import_rounds, first_rounds = scale.of(30, 6), scale.of(7, 1)
    progress.begin(len(_STATEMENTS) * import_rounds + 1 + len(FIRSTS) * first_rounds)
    parts = [_imports(import_rounds, progress), _first_records(first_rounds, progress)]
    return Result(
        [table for part in parts for table in part.tables],
        [claim for part in parts for claim in part.claims],
        [picture for part in parts for picture in part.pictures],
        {name: value for part in parts for name, value in part.samples.items()},
    )


# -- importing -------------------------------------------------------------------------------------


def _imports(rounds: int, progress: Progress) -> Result:
    for statement in _STATEMENTS:
        import_seconds(statement)  # compiles what is not compiled yet, and has the files in memory
    taken = in_turn({statement: partial(import_seconds, statement) for statement in _STATEMENTS}, rounds, progress.step)
    rows: list[tuple[str, list[float | str | None]]] = []
    for statement, some in taken.items():
        spread = Spread.of([seconds * 1e3 for seconds in some])
        ratio = spread.low / (min(taken[BASE]) * 1e3)
        rows.append((statement, [spread.low, spread.middle, str(spread), ratio]))
    progress.step("what is imported")
    beyond = imported_beyond_base()
    packages: dict[str, tuple[int, float]] = {}
    for module, own in beyond.items():
        package = module.partition(".")[0].lstrip("_")  # a C module beside its Python one
        number, total = packages.get(package, (0, 0.0))
        packages[package] = number + 1, total + own
    listed = sorted(packages.items(), key=lambda item: -item[1][1])
    return Result(
        [
            Table(
                "Importing it, in a fresh process",
                [Column("best, ms", 1), Column("median, ms", 1), Column("from … to, ms", None), Column("× the base")],
                rows,
                note="asynclog loads its parts when one of its names is used, and what mail needs when a mail handler"
                " is wrapped or made, so the last two rows are what an app pays in the end. In the last the base is"
                " imported too. Isolated processes (python -I), bytecode compiled, files in memory; the ratio is that"
                " of the best.",
                key="start_time",
            ),
            Table(
                f"What {USED!r} imports beyond that",
                [Column("modules", 0), Column("ms", 2)],
                [(package, [number, total]) for package, (number, total) in listed],
                note="Each package's own time by python -X importtime, the best of three; it slows everything down a"
                " little. The mail library, the templates and the event loop's framework are not among it: they come"
                " with the first mail handler that is wrapped or mail sink that is made, the framework otherwise in"
                " the worker.",
            ),
        ],
        [
            _claim("import asynclog, against import asyncio, logging.handlers, the best of each", taken, OURS),
            _claim(
                "from asynclog import wrap, which loads its parts, against the same, the best of each",
                taken,
                USED,
                "All of asynclog's own modules but those of the worker's loop, the command line and the mails'"
                " HTML; none of them takes more than a tenth of it.",
            ),
        ],
        [_picture(taken)],
        {
            **{
                statement: {"ms": Spread.of([seconds * 1e3 for seconds in some]).sample()}
                for statement, some in taken.items()
            },
            "import: ratio of each round": ratios(taken[OURS], taken[BASE]).sample(),
            "import and use: ratio of each round": ratios(taken[USED], taken[BASE]).sample(),
            "import and wrap an SMTPHandler: ratio of each round": ratios(taken[WRAPPED], taken[BASE]).sample(),
            "imported beyond the base": beyond,
        },
    )


def _claim(text: str, taken: dict[str, list[float]], statement: str, why_not: str = "") -> Claim:
    spread = ratios(taken[statement], taken[BASE])
    ratio = min(taken[statement]) / min(taken[BASE])
    return Claim(text, ratio, 1.5, "×", why_not=why_not, span=(spread.low, spread.high))


def import_seconds(statement: str) -> float:
    """Return the seconds that an import takes in a fresh, isolated process."""
    code = _TIMED.format(path=_path(), statement=_CODE.get(statement, statement))
    return float(_output([sys.executable, "-I", "-c", code]).stdout)


def imported_beyond_base() -> dict[str, float]:
    """Return what using asynclog imports beyond the base, with each module's own milliseconds."""
    code = f"import sys; sys.path[:0] = {_path()!r}; {BASE}; sys.stderr.write('BASE\\n'); {USED}"
    best: dict[str, float] = {}
    for _ in range(3):
        told = _output([sys.executable, "-I", "-X", "importtime", "-c", code]).stderr
        for own, name in _IMPORT_TIME.findall(told[told.index("BASE\n") :]):
            best[name] = min(int(own) / 1e3, best.get(name, float("inf")))
    return best


def _path() -> list[str]:
    # An isolated process knows only its own site-packages: this one may have asynclog from elsewhere.
    return [_HOME, *[one for one in sys.path if one.endswith("site-packages")]]


# -- the first record --------------------------------------------------------------------------------

# A program that logs its first record and waits for it; asynclog's are waited for by flush(). Timed from its first
# line: each way imports what it needs at another moment, the standard SMTPHandler in the call itself.
_FIRST = """
import time
started = time.monotonic()
import json, logging, logging.handlers, sys
kind, where = sys.argv[1:]
if kind.endswith("file"):
    target = logging.FileHandler(where)
else:
    target = logging.handlers.SMTPHandler(("127.0.0.1", int(where)), "a@example.com", ["b@example.com"], "failed")
if kind.startswith("asynclog"):
    import asynclog
    target = asynclog.wrap(target)
logger = logging.getLogger("benchmarks.start_time")
logger.addHandler(target)
began = time.monotonic()
logger.error("first")
called = time.monotonic()
target.flush()
print(json.dumps({"started": started, "began": began, "called": called, "arrived": time.monotonic()}))
"""
FIRSTS = {
    "stdlib FileHandler, direct": "stdlib file",
    "asynclog, file": "asynclog file",
    "stdlib SMTPHandler, direct": "stdlib mail",
    "asynclog, mail": "asynclog mail",
}


def _first_records(rounds: int, progress: Progress) -> Result:
    with tempfile.TemporaryDirectory() as folder, MailServer() as server:
        numbers = count()

        def where(kind: str) -> str:
            return str(Path(folder, f"{next(numbers)}.log")) if kind.endswith("file") else str(server.port)

        taken = in_turn(
            {
                name: lambda kind=kind: first_record(kind, where(kind), server)  # type: ignore[misc]
                for name, kind in FIRSTS.items()
            },
            rounds,
            lambda text: progress.step(f"the first record: {text}"),
        )
    rows: list[tuple[str, list[float | str | None]]] = []
    samples = {}
    for name, some in taken.items():
        ready, called, arrived = (Spread.of([one[index] * 1e3 for one in some]) for index in range(3))
        rows.append((name, [ready.middle, called.middle, arrived.middle, str(arrived)]))
        samples[f"first record: {name}"] = {
            "ready, ms": ready.sample(),
            "call, ms": called.sample(),
            "arrived, ms": arrived.sample(),
        }
    table = Table(
        "The first record of a process",
        [
            Column("ready to log after, ms", 1),
            Column("the call takes, ms", 2),
            Column("arrived after, ms", 1),
            Column("from … to, ms", None),
        ],
        rows,
        note="Medians, but for the call from the program's first line, its imports included: until the handler is on"
        " the logger, and until the line is on disk or the server has the mail. The standard SMTPHandler imports what"
        " it needs in its first call; asynclog starts its threads then, and imports what files need beside the caller,"
        " what mails need before.",
        key="first_record",
    )
    slowest = max(one[2] for one in taken["asynclog, mail"])
    text = "The first error of a fresh process is with the mail server within, from the program's first line, the worst"
    claim = Claim(text, slowest, 1.0, "s", why_not="The imports are most of it.")
    return Result([table], [claim], samples=samples)


def first_record(kind: str, where: str, server: MailServer) -> tuple[float, float, float]:
    """Return the seconds until a program can log, those of its first call, and those until the record had arrived.

    The first and the last are counted from the program's first line.

    Raises:
        RuntimeError: It did not arrive.
    """
    server.forget()
    said = json.loads(_output([sys.executable, "-c", _FIRST, kind, where]).stdout)
    if kind.endswith("file"):
        if not Path(where).read_text(encoding="utf-8").endswith("first\n"):
            raise RuntimeError(f"{kind}: the line is not in the file")
        return _seconds(said, said["arrived"])
    mails = server.mails()
    if len(mails) != 1:
        raise RuntimeError(f"{kind}: {len(mails)} mails arrived")
    return _seconds(said, mails[0][0])


def _seconds(said: dict[str, float], arrived: float) -> tuple[float, float, float]:
    return said["began"] - said["started"], said["called"] - said["began"], arrived - said["started"]


def _output(command: list[str]) -> subprocess.CompletedProcess[str]:
    # Bytecode is written wherever it is missing, whatever this process was told.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join(_path())
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIVE_UP, env=environment)


def _picture(taken: dict[str, list[float]]) -> Picture:
    rows = {}
    for statement, some in taken.items():
        spread = Spread.of([seconds * 1e3 for seconds in some])
        name = statement if statement == BASE else f"asynclog: {statement}"
        rows[name] = (spread.middle, spread.low, spread.high)

    def draw(file: Any, dark: bool) -> None:
        from benchmarks import pictures

        pictures.bars(file, dark, rows, unit="ms")

    return Picture("start_time", "How long the import takes in a fresh process, with the spread of the rounds.", draw)
