"""The tables, claims and samples that are made of the cells."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from asynclog.trial.measure import percentile
from benchmarks.latency.cell import Cell
from benchmarks.latency.plan import AGAIN, ASYNCLOG, NOWHERE, Contender, State
from benchmarks.latency.summary import (
    ABOVE,
    BOUND,
    JUDGED,
    NAMES,
    SHARES,
    UNCERTAIN,
    WIDEST,
    WITHIN,
    Latencies,
    Ratio,
    latencies,
    ratios,
)
from benchmarks.result import Claim, Column, Table

_MS = 1000.0
_MB = 1e6
_PERCENTILES = dict(zip(SHARES, NAMES, strict=True))


class Numbers:
    """Every number of a run, worked out once.

    Args:
        cells: Of the run.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.contenders = cells[0].contenders
        self.latencies: list[Mapping[str, Latencies]] = [
            {one.key: latencies(cell, one) for one in cell.contenders} for cell in cells
        ]
        self.ratios: list[Mapping[float, Ratio]] = [ratios([cell]) for cell in cells]
        #: All cells taken together: percentiles of many more requests, where one cell's can't tell.
        self.together: Mapping[float, Ratio] = ratios(cells)

    def tables(self) -> list[Table]:
        """Make the tables."""
        found = [self._overview(), self._sums(), self._ratios()]
        for server in dict.fromkeys(cell.server for cell in self.cells):
            numbers = [number for number, cell in enumerate(self.cells) if cell.server == server]
            found += [self._latencies(numbers), self._accounts(numbers)]
        notes = [(one.label, [one.note]) for one in self.contenders]
        return [*found, self._cold(), self._machine(), Table("What each does", [Column("", None)], notes)]

    def _overview(self) -> Table:
        """Make the table for those who read only one."""
        states = list(dict.fromkeys(cell.state for cell in self.cells))
        rows: list[tuple[str, list[float | str | None]]] = []
        for contender in self.contenders:
            values: list[float | str | None] = []
            for state in states:
                times, base = self._times(contender, state), self._times(NOWHERE, state)
                p99 = percentile(times, 0.99)
                values += [p99 * _MS, None if contender is NOWHERE else p99 / percentile(base, 0.99)]
            requests = sum(one[contender.key].requests for one in self.latencies)
            failed = sum(one[contender.key].failed for one in self.latencies)
            rows.append((contender.label, [*values, failed / requests]))
        columns = [one for state in states for one in (Column(f"{state.label}, ms", 1), Column("×", 2))]
        timing = self.cells[0].timing
        return Table(
            "p99 of a request that logs an exception, by the state of the mail server",
            [*columns, Column("failed", 1, percent=True)],
            rows,
            note=f"All servers together: {self._servers()}; ×: as a ratio to the app that logs nowhere, whose second "
            f"copy shows how far apart two runs of one thing are. {timing.rate:g} requests a second to each app, "
            f"counted from when each was due; a client gives up after {timing.patience:g} s.",
            key="request_latency",
        )

    def _times(self, contender: Contender, state: State) -> list[float]:
        cells = [cell for cell in self.cells if cell.state == state]
        return sorted(cell.waited(one) for cell in cells for one in cell.of(contender))

    def _servers(self) -> str:
        return ", ".join(dict.fromkeys(cell.server.label for cell in self.cells))

    def _sums(self) -> Table:
        """Make the table of where all errors went."""
        rows: list[tuple[str, list[float | str | None]]] = []
        for contender in self.contenders:
            if contender in {NOWHERE, AGAIN}:
                continue
            accounts = [cell.accounts[contender.key] for cell in self.cells]
            held = [cell.memory[contender.key].peak for cell in self.cells if contender.key in cell.memory]
            rows.append(
                (
                    contender.label,
                    [
                        sum(account.raised for account in accounts),
                        sum(account.written for account in accounts),
                        sum(account.mails for account in accounts),
                        sum(account.told for account in accounts),
                        sum(account.reported for account in accounts),
                        sum(account.silent for account in accounts),
                        max(held) / _MB if held else None,
                    ],
                )
            )
        nowhere = [cell.memory[NOWHERE.key].peak for cell in self.cells if NOWHERE.key in cell.memory]
        base = f" The app that logs nowhere held {max(nowhere) / _MB:.1f} MB." if nowhere else ""
        grace = self.cells[0].timing.grace
        return Table(
            "Where the errors of all cells went",
            [
                Column("errors raised", 0),
                Column("in the file", 0),
                Column("mails", 0),
                Column("told in mails", 0),
                Column("not told, and said so", 0),
                Column("not told, without a word", 0),
                Column("memory, most, MB", 1),
            ],
            rows,
            note="asynclog sends digests: few mails that tell of all, with exact counts, so it asks less of the mail "
            "server and of the machine than a mail for each error does. In the states refusing and silent the server "
            "is down to the end of the cell, so nobody's mails can arrive: what counts there is whether that is said, "
            f"and whether the file has the errors. Each process is killed {grace:g} s after SIGTERM.{base}",
            key="request_latency_accounts",
        )

    def _ratios(self) -> Table:
        named = [(name_of(cell), found) for cell, found in zip(self.cells, self.ratios, strict=True)]
        rows: list[tuple[str, list[float | str | None]]] = []
        for name, found in [*named, ("all cells together", self.together)]:
            values: list[float | str | None] = []
            for share in JUDGED:
                ratio = found[share]
                values += [ratio.asynclog, ratio.spread, ratio.verdict]
            rows.append((name, values))
        columns = []
        for share in JUDGED:
            name = _PERCENTILES[share]
            columns += [Column(name, 2), Column(f"{name}, spread up to", 2), Column("", None)]
        return Table(
            "asynclog's latency as a ratio to the app that logs nowhere",
            columns,
            rows,
            note="To the geometric mean of its two copies. Spread: how far above itself the app that logs nowhere is "
            "found: the upper end of where it lies in 19 of 20 runs put together by chance from its seconds, or its "
            f"two copies' ratio if that is more. Within: up to {BOUND:.2f}, or inside a spread of up to {WIDEST:g}; in "
            "a wider one nothing can be told. Each cell has "
            f"{self.latencies[0][ASYNCLOG.key].requests:,} requests to each app, so its p99.9 is the second slowest: "
            "one or two stalls of the machine, which hit whom they hit, make it a ratio far above 1 or below. The last "
            "row has all cells' requests.",
            key="request_latency_ratios",
        )

    def _latencies(self, numbers: Sequence[int]) -> Table:
        rows: list[tuple[str, list[float | str | None]]] = []
        for number in numbers:
            cell = self.cells[number]
            for contender in self.contenders:
                one = self.latencies[number][contender.key]
                values: list[float | str | None] = [
                    one.requests,
                    *(time * _MS for time in (*one.at, one.worst)),
                    one.failed,
                ]
                rows.append((f"{cell.state.label}: {contender.label}", values))
        columns = [Column("requests", 0), *(Column(f"{name}, ms") for name in (*NAMES, "worst")), Column("failed", 0)]
        label = self.cells[numbers[0]].server.label
        note = "A failed request counts with its client's patience at least."
        return Table(f"{label}: latency from when a request was due", columns, rows, note=note)

    def _accounts(self, numbers: Sequence[int]) -> Table:
        rows: list[tuple[str, list[float | str | None]]] = []
        for number in numbers:
            cell = self.cells[number]
            for contender in self.contenders:
                account, memory = cell.accounts[contender.key], cell.memory.get(contender.key)
                sums: list[float | str | None] = [account.raised, None, None, None, None, None]
                if contender not in {NOWHERE, AGAIN}:
                    told = [account.mails, account.told, account.reported, account.silent]
                    sums = [account.raised, account.written, *told]
                held = [None, None] if memory is None else [memory.end / _MB, memory.peak / _MB]
                rows.append((f"{cell.state.label}: {contender.label}", [*sums, *held, cell.cpu[contender.key]]))
        columns = [
            Column("errors raised", 0),
            Column("in the file", 0),
            Column("mails", 0),
            Column("told in them", 0),
            Column("not told, and said so", 0),
            Column("without a word", 0),
            Column("memory at the end, MB", 1),
            Column("at its peak, MB", 1),
            Column("CPU, s", 2),
        ]
        timing = self.cells[numbers[0]].timing
        note = (
            "Said so: as a logging error on stderr, or by asynclog's counts and its line at exit. Each process has "
            f"{timing.grace:g} s from SIGTERM to SIGKILL, for what its queue still holds. CPU: of the whole process "
            "while it was measured."
        )
        return Table(f"{self.cells[numbers[0]].server.label}: where the errors went", columns, rows, note=note)

    def _cold(self) -> Table:
        rows: list[tuple[str, list[float | str | None]]] = []
        for contender in self.contenders:
            own = [one[contender.key] for one in self.latencies]
            first = [one.first * _MS for one in own]
            cold = [one.cold * _MS for one in own]
            rows.append((contender.label, [statistics.median(first), max(first), statistics.median(cold), max(cold)]))
        seconds = self.cells[0].timing.cold
        columns = [
            Column("first error, ms"),
            Column("worst, ms"),
            Column(f"slowest of {seconds:g} s, ms"),
            Column("worst, ms"),
        ]
        note = (
            "Median and worst over the cells. These requests are in no other table: libraries are imported meanwhile."
        )
        return Table("A process's first error, and what follows it", columns, rows, note=note)

    def _machine(self) -> Table:
        rows: list[tuple[str, list[float | str | None]]] = []
        for cell in self.cells:
            late = sorted(one.late * _MS for one in cell.samples)
            rows.append((name_of(cell), [cell.busy, percentile(late, 0.5), percentile(late, 0.99), late[-1]]))
        columns = [
            Column("machine busy", 0, percent=True),
            *(Column(f"load late, {name}, ms") for name in ("p50", "p99", "worst")),
        ]
        note = (
            "Of all the processors' time, whoever used it. The load's own lateness counts in every contender's latency."
        )
        return Table("How busy the machine was", columns, rows, note=note)

    def claims(self) -> list[Claim]:
        """Judge what was promised."""
        found = []
        count = len(self.cells)
        for share in JUDGED:
            by_verdict: dict[str, list[str]] = {WITHIN: [], UNCERTAIN: [], ABOVE: []}
            for cell, one in zip(self.cells, self.ratios, strict=True):
                ratio = one[share]
                by_verdict[ratio.verdict].append(f"{name_of(cell)} {ratio.asynclog:.2f} (spread {ratio.spread:.2f})")
            found.append(
                Claim(
                    f"asynclog's {_PERCENTILES[share]} is within 5 % of the app that logs nowhere, or within that "
                    f"app's own run-to-run spread: of {count} cells, so many above",
                    len(by_verdict[ABOVE]),
                    0,
                    why_not="; ".join(by_verdict[ABOVE]),
                    note=f"{len(by_verdict[WITHIN])} within, of {len(by_verdict[UNCERTAIN])} it can't be told",
                )
            )
        for share in JUDGED:
            ratio = self.together[share]
            found.append(
                Claim(
                    f"All cells together, asynclog's {_PERCENTILES[share]} over that of the app that logs nowhere: "
                    "within 5 %, or within that app's own spread",
                    ratio.asynclog,
                    max(BOUND, min(ratio.spread, WIDEST)),
                    "×",
                    why_not=f"The app that logs nowhere is found at up to {ratio.spread:.2f} × itself.",
                    note=f"its second copy {ratio.twin:.2f} ×, 19 of 20 such apps {ratio.low:.2f} to {ratio.high:.2f}",
                )
            )
        extra = sum(
            max(0, one[ASYNCLOG.key].failed - max(one[NOWHERE.key].failed, one[AGAIN.key].failed))
            for one in self.latencies
        )
        found.append(Claim("asynclog fails no request that the app that logs nowhere answers", extra, 0))
        wrong = [
            f"{name_of(cell)}: {text}: {left:,} is not {right:,}"
            for cell in self.cells
            for text, (left, right) in cell.accounts[ASYNCLOG.key].broken.items()
        ]
        found.append(
            Claim(
                "asynclog: errors raised = told in mails + reported lost = lines in the file, to the last one: sums "
                "that do not hold",
                len(wrong),
                0,
                why_not="; ".join(wrong),
            )
        )
        return found

    def samples(self) -> dict[str, Any]:
        """Return every cell's numbers."""
        found: dict[str, Any] = {}
        for cell, own, ratio in zip(self.cells, self.latencies, self.ratios, strict=True):
            entry: dict[str, Any] = {
                "busy": cell.busy,
                "ratios": _judged(ratio),
            }
            for contender in cell.contenders:
                entry[contender.key] = _sample(cell, contender, own[contender.key])
            found.setdefault(cell.server.key, {})[cell.state.key] = entry
        found["all cells together"] = _judged(self.together)
        return found


def _judged(found: Mapping[float, Ratio]) -> dict[str, Any]:
    return {_PERCENTILES[share]: {**asdict(one), "verdict": one.verdict} for share, one in found.items()}


def _sample(cell: Cell, contender: Contender, own: Latencies) -> dict[str, Any]:
    memory = cell.memory.get(contender.key)
    account = cell.accounts[contender.key]
    return {
        **{name: time * _MS for name, time in zip(NAMES, own.at, strict=True)},
        "worst": own.worst * _MS,
        "first": own.first * _MS,
        "cold": own.cold * _MS,
        "unit": "ms",
        "requests": own.requests,
        "failed": own.failed,
        "raised": account.raised,
        "mails": account.mails,
        "told": account.told,
        "written": account.written,
        "reported": account.reported,
        "cpu_seconds": cell.cpu[contender.key],
        "memory_bytes": None if memory is None else asdict(memory),
    }


def name_of(cell: Cell) -> str:
    """Name a cell to people."""
    return f"{cell.server.label}: {cell.state.label}"
