"""The figures as docs/running.md shows them."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "running.md"

Found = Mapping[str, Mapping[str, Any]]
#: A figure, its unit, and what was promised.
Line = tuple[str, float, str, float | None]
#: Ends what is better the more it is: its figure and what was promised are negative.
AT_LEAST = " (negative: at least)"


def write(found: Found) -> None:
    """Put the tables between the page's markers. All parts must have been run."""
    _put("costs", "bench", _steady(found), _rest(found))


def write_page(found: Found, lines: Iterable[Line]) -> None:
    """The same of `bench_page`, both parts; `lines` are all its figures."""
    _put("costs of the page", "bench-page", _pages(found), _others(lines))


def _put(name: str, target: str, *tables: Iterable[str]) -> None:
    begin, end = f"<!-- {name}: made by `make {target}` -->", f"<!-- end of {name} -->"
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    text = "\n\n".join("\n".join(lines) for lines in tables)
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _steady(found: Found) -> Iterator[str]:
    yield "On a machine of {cores} cores ({processor}), Python {python}:".format(**found["machine"])
    yield ""
    runs = [found[f"steady-{count}"] for count in (100, 1_000, 10_000)]
    yield (
        "| targets, each probed every 10 s | "
        + " | ".join(f"{r['targets']:,}" for r in runs)
        + " |"
    )
    yield "| --- | --- | --- | --- |"
    rows = {
        "probes, and how many were missed": lambda r: f"{r['probes']:,}, {r['missed']:,}",
        "late: median, 99 %, most": lambda r: _times(
            r["late_p50_s"], r["late_p99_s"], r["late_most_s"]
        ),
        "processor time per 1,000 probes": lambda r: f"{r['cpu_s_per_1000']:.2f} s",
        "of one core": lambda r: f"{100 * r['cpu_share']:.1f} %",
        "peak memory": lambda r: f"{r['peak_mb']:.0f} MB",
        "start, until all are scheduled": lambda r: f"{r['start_s']:.1f} s",
        "other processes meanwhile": lambda r: f"{r['others_cores']:.2f} cores",
    }
    for what, of in rows.items():
        yield f"| {what} | " + " | ".join(map(of, runs)) + " |"


def _rest(found: Found) -> Iterator[str]:
    stored, one_by_one, burst, commands = (
        found[part] for part in ("stored", "openings", "burst", "commands")
    )
    yield "| what | figure |"
    yield "| --- | --- |"
    yield (
        f"| stored for 1,000 probes that bring nothing new | {stored['rest_bytes_per_1000']:.0f} B,"
        f" {stored['with_wal_bytes_per_1000']:.0f} B with the write-ahead log"
        f" ({stored['probes']:,} probes) |"
    )
    for channel, what in (("hook", "a webhook"), ("mail", "a mail server with STARTTLS")):
        told = one_by_one[channel]
        yield (
            f"| from an answer to {what}, committed to disk in between: median, 99 %, most |"
            f" {_times(told['p50_s'], told['p99_s'], told['most_s'])}"
            f" ({one_by_one['opened']} openings among 100 targets) |"
        )
    faulty = found["faults"]
    told = faulty["hook"]
    yield (
        f"| the same with 5 % of the probes failing and 20 % of the posts refused: median, 95 %, 99 % |"
        f" {_times(told['p50_s'], told['p95_s'], told['p99_s'])} ({faulty['opened']} openings among"
        f" {faulty['targets']:,} targets, {faulty['lost'] + faulty['not_delivered']} lost,"
        f" {faulty['doubled']} told twice) |"
    )
    told = burst["hook"]
    yield (
        f"| {burst['opened']:,} targets of one organization open within 10 s: told in, lost |"
        f" {told['messages']} messages, the last {told['most_s']:.1f} s after its answer,"
        f" {burst['lost'] + burst['not_delivered']} lost |"
    )
    for name, seconds in commands["seconds"].items():
        yield (
            f"| `{name.replace(' json', ' --format json').replace(' since', ' --since 1h')}`,"
            f" {commands['targets']:,} targets, {commands['transitions']:,} transitions |"
            f" {seconds:.2f} s |"
        )
    yield f"| `python -c pass` on the same machine | {commands['python_s']:.2f} s |"
    busy = max(found[part]["others_cores"] for part in ("stored", "openings", "faults", "burst"))
    yield f"| other processes meanwhile, at most | {busy:.2f} cores |"


def _pages(found: Found) -> Iterator[str]:
    yield "On a machine of {cores} cores ({processor}), Python {python}:".format(**found["machine"])
    yield ""
    yield "| asked for, and made anew each time | first byte: median, 95 % | processor | size |"
    yield "| --- | --- | --- | --- |"
    for name, one in found["page"]["alone"].items():
        yield (
            f"| {name} | {one['p50_ms']:.0f} ms, {one['p95_ms']:.0f} ms | {one['cpu_ms']:.0f} ms |"
            f" {one['bytes'] / 1000:,.0f} kB |"
        )


def _others(lines: Iterable[Line]) -> Iterator[str]:
    yield "| what | figure | promised |"
    yield "| --- | --- | --- |"
    for what, value, unit, most in lines:
        sign, words = (-1, "least") if what.endswith(AT_LEAST) else (1, "most")
        digits = 1 if abs(value) < 10 else 0
        promised = "" if most is None else f"at {words} {sign * most:g} {unit}".strip()
        figure = f"{sign * value:,.{digits}f} {unit}".strip()
        if most is not None and value > most:
            promised += ": **not kept**"
        yield f"| {what.removesuffix(AT_LEAST)} | {figure} | {promised} |"


def _times(*seconds: float) -> str:
    return ", ".join(f"{1000 * one:.0f} ms" if one < 10 else f"{one:.1f} s" for one in seconds)
