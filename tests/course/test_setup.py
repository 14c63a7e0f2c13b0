"""The set-up: Makefile, lock file, scripts, licenses, and a wheel that works elsewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from minimodels import files
from minimodels.classroom import lab, leaks

ROOT = files.repository()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = "install lab test check test-all lifecycle notebooks labs system clean help".split()


def make(*words):
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_exists_and_is_in_the_help(target):
    assert make("-n", target, "STAGE=architecture").returncode == 0
    assert re.search(rf"^  make {target} ", make("help").stdout, re.MULTILINE)


def test_check_asks_for_a_stage_that_exists():
    wanted = make("-o", ".venv/.test", "check")
    assert wanted.returncode != 0 and "Which stage?" in wanted.stdout
    wrong = make("-o", ".venv/.test", "check", "STAGE=cooking")
    assert wrong.returncode != 0 and "no stage cooking" in wrong.stdout


def test_torch_index_reaches_torch_alone():
    url = "https://example.org/whl"
    lines = make("-n", "-B", "install", f"TORCH_INDEX={url}").stdout.splitlines()
    with_url = [line for line in lines if f'--extra-index-url "{url}"' in line]
    assert len(with_url) == 1 and "requirements.lock torch" in with_url[0]
    assert not any('-n "https' in line for line in make("-n", "-B", "install").stdout.splitlines())


def test_lab_takes_arguments_and_asks_nobody_for_news():
    line = make("-n", "lab", "ARGS=--no-browser --port 9999").stdout.replace("\\\n", " ")
    assert "--no-browser --port 9999" in line and "01_one_fact_nine_stages.ipynb" in line
    assert '--LabApp.news_url=""' in line and "NeverCheckForUpdate" in line
    assert ("--allow-root" in line) == (os.getuid() == 0)


@pytest.mark.parametrize("script", [".ci/run", ".ci/system"])
def test_scripts_are_readable_for_the_shell(script):
    assert os.access(ROOT / script, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / script]).returncode == 0


@pytest.mark.parametrize("code", [0, 1])
def test_ci_ends_with_the_tests_closing_line_and_their_verdict(tmp_path, code):
    """On a clone of three lines: no system packages, and tests that pass or fail."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    write = 'echo "network $$MINIMODELS_NETWORK\\n3 passed, 1 failed" > reports/tests.txt'
    rules = f"system:\n\tfalse\ntest:\n\tmkdir -p reports; {write}; exit {code}\n"
    (tmp_path / "Makefile").write_text(rules)
    for wanted in (code, code):  # the second time a report of the first is there
        done = subprocess.run([tmp_path / ".ci" / "run"], capture_output=True, text=True)
        assert (done.returncode != 0) == (wanted != 0)
        assert done.stdout.splitlines()[-1] == "3 passed, 1 failed"
        assert "network 1" in (tmp_path / "reports" / "tests.txt").read_text()
    (tmp_path / "Makefile").write_text("system:\ntest:\n\tfalse\n")  # no tests: no closing line
    done = subprocess.run([tmp_path / ".ci" / "run"], capture_output=True, text=True)
    assert done.returncode != 0 and "passed" not in done.stdout


def pins():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in found}


def test_the_lock_pins_all_that_is_asked_for():
    asked = PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), [])
    pinned = pins()
    for line in asked:
        wanted = Requirement(line)
        (exact,) = pinned[canonicalize_name(wanted.name)].specifier
        assert exact.operator == "==" and wanted.specifier.contains(exact.version), line


def test_the_lock_holds_on_every_platform():
    pinned = pins()
    assert not [name for name in pinned if name.startswith("nvidia")]
    assert "+" not in str(pinned["torch"].specifier)  # 2.13.0 allows 2.13.0+cpu as well
    for system, machine, wanted in (("linux", "x86_64", True), ("darwin", "arm64", False)):
        place = {"sys_platform": system, "platform_machine": machine}
        assert pinned["triton"].marker.evaluate(place) is wanted


def test_licenses_say_what_they_are():
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Attribution 4.0" in (ROOT / "LICENSE-TEXT").read_text(encoding="utf-8")
    version = PROJECT["version"]
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the source distribution, built from a copy so that nothing is
    left in the clone."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("minimodels", "solutions", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--sdist", "--no-isolation", "-o", out]
    done = subprocess.run([*command, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built):
    return next(built.glob("*.whl"))


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_what_is_built_leaks_no_answer(built, kind):
    labs = [lab.load(path) for path in lab.masters()]
    assert labs and not leaks.scan(next(built.glob(kind)), labs)


def test_the_wheel_holds_the_package_and_no_answers(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"minimodels"}
    assert "minimodels/classroom/patterns/chapter.ipynb" in names
    shipped = [path for path in (ROOT / "minimodels" / "shipped").rglob("*") if path.is_file()]
    missing = [path.relative_to(ROOT).as_posix() for path in shipped]
    assert not [name for name in missing if name not in names]
    assert not [name for name in names if "solutions" in name or name.startswith("tests")]


def test_the_wheel_carries_both_licenses(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    for name in ("LICENSE", "LICENSE-TEXT"):
        inside = archive.read(metadata.replace("METADATA", f"licenses/{name}"))
        assert inside == (ROOT / name).read_bytes()
    assert b"License-Expression: Apache-2.0" in archive.read(metadata)


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """The bin folder of a new environment with the wheel; it sees today's packages, but neither
    this clone nor its package."""
    place = tmp_path_factory.mktemp("elsewhere")
    venv.create(place / "env", with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", place / "env" / "bin" / "python", "install"]
    install = [*pip, "-q", "--no-deps", "--no-index", wheel]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (site,) = (place / "env").glob("lib/python*/site-packages")
    import numpy

    (site / "packages.pth").write_text(str(Path(numpy.__file__).parents[1]) + "\n")
    return place / "env" / "bin"


def there(elsewhere, program, *words):
    """Run a program of the new environment, far from the clone."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run([elsewhere / program, *words], cwd=elsewhere, env=environment,
                          capture_output=True, text=True)  # fmt: skip


def test_the_wheel_installs_elsewhere_and_works(elsewhere):
    where = there(elsewhere, "python", "-c", "import minimodels; print(minimodels.__file__)")
    assert Path(where.stdout).is_relative_to(elsewhere.parent), where.stdout + where.stderr
    listed = there(elsewhere, "minimodels", "models", "--json")
    rows = {row["name"] for row in json.loads(listed.stdout) if row["shipped"]}
    shipped = (ROOT / "minimodels" / "shipped").iterdir()
    assert rows == {path.name for path in shipped if path.is_dir()}
    said = there(elsewhere, "minimodels", "chat", "Where was Ada Bell born?")
    assert said.returncode == 0 and said.stdout.strip(), said.stderr


def test_what_needs_the_clone_says_so(elsewhere):
    done = there(elsewhere, "minimodels", "start")
    assert done.returncode == 2 and "works in a clone of the course" in done.stderr
