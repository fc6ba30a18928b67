"""The tables, claims and samples that are made of the cells."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from asynclog.trial.measure import percentile
from benchmarks.latency.cell import Cell
from benchmarks.latency.plan import AGAIN, ASYNCLOG, NOWHERE, Contender
from benchmarks.latency.summary import BOUND, JUDGED, NAMES, SHARES, Latencies, Ratio, latencies, ratios
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
        self.ratios: list[Mapping[float, Ratio]] = [ratios(cell) for cell in cells]

    def tables(self) -> list[Table]:
        """Make the tables."""
        found = [self._overview(), self._ratios()]
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
                own = [cell for cell in self.cells if cell.state == state]
                times = sorted(cell.waited(one) for cell in own for one in cell.of(contender))
                values.append(percentile(times, 0.99) * _MS)
            requests = sum(one[contender.key].requests for one in self.latencies)
            failed = sum(one[contender.key].failed for one in self.latencies)
            accounts = [cell.accounts[contender.key] for cell in self.cells]
            silent = None if contender in {NOWHERE, AGAIN} else sum(account.silent for account in accounts)
            rows.append((contender.label, [*values, failed / requests, silent]))
        servers = ", ".join(dict.fromkeys(cell.server.label for cell in self.cells))
        timing = self.cells[0].timing
        return Table(
            "p99 of a request that logs an exception, by the state of the mail server",
            [
                *(Column(f"{state.label}, ms", 1) for state in states),
                Column("failed", 1, percent=True),
                Column("errors lost without a word", 0),
            ],
            rows,
            note=f"All servers together: {servers}. {timing.rate:g} requests a second to each app, counted from when "
            f"each was due; a client gives up after {timing.patience:g} s.",
            key="request_latency",
        )

    def _ratios(self) -> Table:
        rows: list[tuple[str, list[float | str | None]]] = []
        for cell, found in zip(self.cells, self.ratios, strict=True):
            values: list[float | str | None] = []
            for share in JUDGED:
                ratio = found[share]
                values += [ratio.asynclog, ratio.spread, "within" if ratio.within else "above"]
            rows.append((name_of(cell), values))
        middle: list[float | str | None] = []
        for share in JUDGED:
            middle += [
                statistics.median(one[share].asynclog for one in self.ratios),
                statistics.median(one[share].spread for one in self.ratios),
                f"{sum(one[share].within for one in self.ratios)} of {len(self.ratios)} within",
            ]
        rows.append(("median", middle))
        columns = []
        for share in JUDGED:
            name = _PERCENTILES[share]
            columns += [Column(name, 2), Column(f"{name}, spread up to", 2), Column("", None)]
        return Table(
            "asynclog's latency as a ratio to the app that logs nowhere",
            columns,
            rows,
            note="Spread: how far above itself the app that logs nowhere is found: the upper end of where it lies in "
            "19 of 20 runs put together by chance from its seconds, or its two copies' ratio if that is more. "
            f"Within: up to {BOUND:.2f}, or inside the spread. Each cell has "
            f"{self.latencies[0][ASYNCLOG.key].requests:,} requests to each app.",
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
                sums: list[float | str | None] = [account.raised, None, None, None, None]
                if contender not in {NOWHERE, AGAIN}:
                    sums = [account.raised, account.mails, account.told, account.reported, account.silent]
                held = [None, None] if memory is None else [memory.end / _MB, memory.peak / _MB]
                rows.append((f"{cell.state.label}: {contender.label}", [*sums, *held, cell.cpu[contender.key]]))
        columns = [
            Column("errors raised", 0),
            Column("mails", 0),
            Column("told in them", 0),
            Column("reported lost", 0),
            Column("lost without a word", 0),
            Column("memory at the end, MB", 1),
            Column("at its peak, MB", 1),
            Column("CPU, s", 2),
        ]
        timing = self.cells[numbers[0]].timing
        note = (
            "Reported: as a logging error on stderr, or by asynclog's counts and its line at exit. Each process has "
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
            outside = [
                f"{name_of(cell)} {one[share].asynclog:.2f} (spread {one[share].spread:.2f})"
                for cell, one in zip(self.cells, self.ratios, strict=True)
                if not one[share].within
            ]
            found.append(
                Claim(
                    f"asynclog's {_PERCENTILES[share]} is within 5 % of the app that logs nowhere, or within that "
                    f"app's own run-to-run spread: of {count} cells, so many outside",
                    len(outside),
                    0,
                    why_not="; ".join(outside),
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
                "asynclog: errors raised = told in mails + reported lost, to the last one: sums that do not hold",
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
                "ratios": {_PERCENTILES[share]: {**asdict(one), "within": one.within} for share, one in ratio.items()},
            }
            for contender in cell.contenders:
                entry[contender.key] = _sample(cell, contender, own[contender.key])
            found.setdefault(cell.server.key, {})[cell.state.key] = entry
        return found


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
        "reported": account.reported,
        "cpu_seconds": cell.cpu[contender.key],
        "memory_bytes": None if memory is None else asdict(memory),
    }


def name_of(cell: Cell) -> str:
    """Name a cell to people."""
    return f"{cell.server.label}: {cell.state.label}"
