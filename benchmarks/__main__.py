"""Run the benchmarks: ``python -m benchmarks [NAME …] [--quick]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import child, documents, registry, report, words
from benchmarks.outcome import Outcome
from benchmarks.progress import Display, display
from benchmarks.result import Scale

REPORT = Path(__file__).parent / "report"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, or all; return 1 if one could not be measured."""
    given = _parser().parse_args(arguments)
    if given.list:
        return _list()
    if given.readme:
        from benchmarks import readme

        try:
            written = readme.write(given.readme)
        except readme.NotForShowError as error:
            print(error, file=sys.stderr)
            return 1
        print(*written, sep="\n")
        return 0
    names = list(dict.fromkeys(given.names)) or list(registry.NAMES)
    given.into.mkdir(parents=True, exist_ok=True)
    return _run(names, Scale(given.quick), given.into)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure asynclog beside its peers, all contenders in turn in one run, and write a report.",
    )
    parser.add_argument("names", nargs="*", choices=[*registry.NAMES, []], metavar="NAME", help="which; default all")
    parser.add_argument("--quick", action="store_true", help="a rougher picture in under three minutes")
    parser.add_argument(
        "--into", type=Path, default=REPORT, metavar="FOLDER", help="of the report; default %(default)s"
    )
    parser.add_argument("--list", action="store_true", help="list the benchmarks and how long they take")
    parser.add_argument(
        "--readme",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="take the numbers of these reports, one per Python, over into README.md and docs/, and measure nothing",
    )
    return parser


def _list() -> int:
    for name in registry.NAMES:
        full, quick = (_minutes(_duration(name, Scale(rough))) for rough in (False, True))
        print(f"{name:16} {_title(name)} ({full}; quick {quick})")
    return 0


def _minutes(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes >= 2 else f"{minutes * 60:.0f} s"


def _run(names: Sequence[str], scale: Scale, into: Path) -> int:
    outcomes: list[Outcome] = []
    page = into / report.PAGE
    try:
        with display(len(names)) as show:
            show.say(f"{_announce(names, scale)} The report: {page}")
            for name in names:
                outcomes.append(_one(name, scale, show, into))
                report.write(outcomes[-1:], into)  # after each, so that nothing is lost if a later one is stopped
    except KeyboardInterrupt:
        print(f"\nStopped; what was measured before is in {page}", file=sys.stderr)
        return 130
    for one in outcomes:
        _print(one)
    print(f"\n{page}")
    return 1 if any(one.fault for one in outcomes) else 0


def _announce(names: Sequence[str], scale: Scale) -> str:
    minutes = sum(_duration(name, scale) for name in names)
    return f"{len(names)} benchmark{'s' if len(names) > 1 else ''}, about {_minutes(minutes)}."


def _title(name: str) -> str:
    try:
        return registry.load(name).TITLE
    except ImportError:
        return name


def _duration(name: str, scale: Scale) -> float:
    try:
        return registry.load(name).MINUTES[scale.quick]
    except ImportError:  # it says so itself when its turn comes
        return 0.0


def _one(name: str, scale: Scale, show: Display, into: Path) -> Outcome:
    show.start(name, _title(name))
    done = child.run(name, scale, show, into / f"{name}.log")
    if done.fault:
        show.end(f"FAILED: {done.fault}")
    else:
        held = sum(claim.holds for claim in done.claims)
        show.end(f"{done.seconds:.0f} s, {held} of {len(done.claims)} claims hold")
    return done


def _print(one: Outcome) -> None:
    print(f"\n{one.title}")
    if one.fault:
        print(f"  FAILED: {one.fault}")
    for line in one.lines:
        print(f"  {line}")
    plain = documents.of(one)
    for table in plain["tables"]:
        print(f"\n{words.as_text(table)}")
    for claim in plain["claims"]:
        said, _ = report.verdict(claim, one.quick)
        print(f"  {said}: {claim['text']}: {words.noted(claim, words.measured(claim))}")


if __name__ == "__main__":
    sys.exit(main())
