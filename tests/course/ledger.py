"""The ledger at the end of a test run: every notebook, and nothing skipped in silence.

A pytest plugin (`-p tests.course.ledger`). A notebook of which no cell ran, or a test skipped for a
reason that skips.toml does not list, fails the run. Stored results that other code made are named.
"""

import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

from minimodels.classroom.normalize import read
from minimodels.classroom.watch import Watch
from minimodels.experiments import results

LISTED = tomllib.loads(Path(__file__).with_name("skips.toml").read_text(encoding="utf-8"))["skip"]


@dataclass
class Row:
    """What happened to one notebook."""

    total: int = 0
    ran: int = 0
    seconds: float = 0.0
    memory: int = 0  # bytes, at most
    reasons: set[str] = field(default_factory=set)


def pytest_addoption(parser):
    parser.addoption("--stage", default="", help="only the labs of this stage, as architecture")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # in the process that sees all reports
        config.pluginmanager.register(Ledger(config), "ledger")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Watch the kernel's memory while a cell runs, and send it along with the report."""
    kernel = getattr(item.parent, "kernel", None)
    if kernel is None or not kernel.is_alive():
        return (yield)
    watch = Watch(kernel.km.provisioner.pid)
    try:
        with watch:
            return (yield)
    finally:
        item.user_properties.append(("memory", watch.peak))


class Ledger:
    """Collects reports, judges skips, prints the table."""

    def __init__(self, config):
        self.root = config.rootpath
        self.rows: dict[str, Row] = defaultdict(Row)
        self.skips: set[tuple[str, str]] = set()
        self.faults: list[str] = []
        if config.getoption("nbval", False):
            for path in notebooks(self.root, config.args):
                codes = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
                self.rows[path.relative_to(self.root).as_posix()].total = len(codes)

    def pytest_runtest_logreport(self, report):
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skips.add((report.nodeid, reason(report)))
        name = report.nodeid.split("::")[0]
        if name in self.rows:
            row = self.rows[name]
            row.seconds += report.duration
            row.ran += report.when == "call" and not report.skipped
            row.memory = max([row.memory, *(v for k, v in report.user_properties if k == "memory")])
            if report.skipped:
                row.reasons.add(reason(report))

    def pytest_collectreport(self, report):
        if report.skipped:
            self.skips.add((report.nodeid, reason(report)))

    def pytest_sessionfinish(self, session):
        self.faults = [f"skipped, and not in skips.toml: {test} ({why})"
                       for test, why in sorted(self.skips) if not listed(test, why)]  # fmt: skip
        for name, row in self.rows.items():
            skipped = any(test.startswith(name) and listed(test, why) for test, why in self.skips)
            if not row.ran and not skipped:
                self.faults.append(f"no cell ran: {name} (of {row.total})")
        if not self.faults or session.config.option.collectonly:
            return
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        terminal = session.config.pluginmanager.getplugin("terminalreporter")
        for fault in self.faults:
            place = ("ledger", 0, "ledger")
            failed = pytest.TestReport("ledger", place, {}, "failed", fault, "call")
            terminal.stats.setdefault("failed", []).append(failed)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter):
        lines = [*self.table(), *self.skipped(), *stale_results(), *self.faults]
        for line in lines:
            terminalreporter.write_line(line)
        counts = {kind: len(terminalreporter.stats.get(kind, []))
                  for kind in ("passed", "failed", "error", "skipped")}  # fmt: skip
        counts["failed"] += counts.pop("error")
        last = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        file = self.root / "reports" / "tests.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join([*lines, last]) + "\n", encoding="utf-8")

    def table(self) -> list[str]:
        if not self.rows:
            return []
        width = max(len(name) for name in self.rows)
        lines = ["", f"{'notebook':{width}}    cells   seconds     GB  skipped because"]
        for name, row in sorted(self.rows.items()):
            cells, memory = f"{row.ran:3d}/{row.total:<3d}", row.memory / 2**30
            why = ", ".join(sorted(row.reasons))
            lines.append(f"{name:{width}}  {cells}  {row.seconds:8.1f}  {memory:5.1f}  {why}")
        return lines

    def skipped(self) -> list[str]:
        return [f"skipped: {test} ({why})" for test, why in sorted(self.skips) if listed(test, why)]


def notebooks(root: Path, arguments: list[str]) -> list[Path]:
    """The notebooks below the paths that pytest was given, as nbval collects them."""
    found: set[Path] = set()
    for argument in arguments:
        place = (root / argument.split("::")[0]).resolve()
        found |= set(place.rglob("*.ipynb")) if place.is_dir() else {place}
    found = {path for path in found if path.suffix == ".ipynb"}
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def reason(report) -> str:
    """Why a test was skipped: the last part of (file, line, "Skipped: because")."""
    words = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return words.removeprefix("Skipped").removeprefix(": ") or "tag nbval-skip"


def listed(test: str, why: str) -> bool:
    """Whether skips.toml knows this skip."""
    return any(fnmatch(test, row["test"]) and row["reason"] in why for row in LISTED)


def stale_results() -> list[str]:
    """Stored results of experiments that were made by other code than today's."""
    lines = []
    for path in sorted(results.stored()):
        if changed := results.stale(path):
            command = results.files.read_json(path)["command"]
            lines.append(f"stale: {path.name} (changed: {', '.join(changed)}); again: {command}")
    return lines
