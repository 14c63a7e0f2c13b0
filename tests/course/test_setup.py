"""The set-up: Makefile, lock file, scripts, licenses, and a wheel that works elsewhere."""

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
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that nothing is left in the clone."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "minimodels", source / "minimodels", ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", out, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_package_and_no_answers(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"minimodels"}
    assert "minimodels/classroom/patterns/chapter.ipynb" in names
    shipped = [path for path in (ROOT / "minimodels" / "shipped").rglob("*") if path.is_file()]
    missing = [path.relative_to(ROOT).as_posix() for path in shipped]
    assert not [name for name in missing if name not in names]
    assert not [name for name in names if "solutions" in name or name.startswith("tests")]


def test_the_wheel_installs_elsewhere_and_works(wheel, tmp_path):
    """A new environment that sees today's packages, but neither this clone nor its package."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:  # what installing a pure wheel does, but for scripts
        archive.extractall(site)
    import numpy

    (site / "packages.pth").write_text(str(Path(numpy.__file__).parents[1]) + "\n")
    python = [tmp_path / "env" / "bin" / "python", "-I"]
    command = [*python, "-m", "minimodels.cli", "models", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"gemma-mini"' in done.stdout
    where = [*python, "-c", "import minimodels; print(minimodels.__file__)"]
    assert str(site) in subprocess.run(where, capture_output=True, text=True).stdout
