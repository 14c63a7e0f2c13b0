"""The sandbox: what runs in it, what it cannot see, reach or use up, in each way of making one."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from minimodels import files, sandbox
from minimodels.errors import UserError
from minimodels.sandbox import Limits, box, calls
from minimodels.sandbox.limits import MB

ENGINES = ("bubblewrap", "namespaces")
HEAD = """
import ctypes, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0: raise OSError(name)
def tried(name, action):
    try:
        action()
        print(name)
    except (OSError, ValueError):
        pass
"""
OUTSIDE = {  # what nobody inside may do; harmless where somebody may
    "user namespace": "call('unshare', 0x10000000)",
    "memfd": "os.memfd_create('x')",
    "System V": "call('shmget', 0, 4096, 0o1600)",
    "files": "os.stat('/etc/passwd')",
    "/run": "os.stat('/run')",
}
ABOVE = [path for path in (str(box.PACKAGE.parent),) if not path.startswith(("/tmp/", "/dev/shm/"))]
INSIDE = {
    **OUTSIDE,
    **{f"write {place}": f"open({place!r} + '/zz', 'w')" for place in (
        "/", "/dev", "/etc", "/usr", "/usr/lib", "/proc", str(box.PACKAGE), *ABOVE,
        os.path.dirname(os.__file__))},
    "limits": "resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))",
    "mount": "call('mount', b'none', b'/tmp', b'tmpfs', 0, None)",
    "unmount": "call('umount2', b'/tmp', 2)",
    "trace": "call('ptrace', 16, 1, 0, 0)",
    "network": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))",
    "root": "os.setuid(0)",
    "what another left": "os.stat('/tmp/left')",
}  # fmt: skip


def probe(tries: dict[str, str]) -> str:
    """A program that prints the names of what it could do."""
    return HEAD + "".join(f"tried({name!r}, lambda: {do})\n" for name, do in tries.items())


@pytest.fixture(params=ENGINES)
def engine(request):
    if not box.works(request.param):
        pytest.skip("this machine has no such box")
    return request.param


def python(code, **more):
    return sandbox.run([sys.executable, "-c", code], **more)


def test_a_program_reads_stdin_and_prints(engine):
    code = "import sys; print(sum(map(int, sys.stdin.read().split()))); print('e', file=sys.stderr)"
    done = python(code, stdin=b"3 4", engine=engine)
    assert (done.status, done.returncode) == ("ended", 0)
    assert (done.stdout, done.stderr) == (b"7\n", b"e\n")


@pytest.mark.parametrize(
    "code, status, returncode",
    [
        ("raise SystemExit(3)", "crash", 3),
        ("import os; os.kill(os.getpid(), 11)", "crash", -11),
        ("import ctypes; ctypes.string_at(0)", "crash", -11),
        ("while True: pass", "timeout", None),
        ("import time; time.sleep(60)", "timeout", None),
        ("while True: print('x' * 10**6)", "too much output", None),
        ("import sys\nwhile True: sys.stderr.write('x' * 10**6)", "too much output", None),
        ("x = bytearray(2**30)", "crash", 1),  # a MemoryError: the kernel gives no more
    ],
)
def test_how_it_ended_has_a_name(engine, code, status, returncode):
    limits = Limits(seconds=1.5, memory=256 * MB, output=10 * MB)
    done = python(code, limits=limits, engine=engine)
    if engine == "namespaces" and "os.kill" in code:  # process 1 of a box ignores its own signals
        returncode = done.returncode
        assert done.status in ("crash", "ended")
    else:
        assert (done.status, done.returncode) == (status, returncode), done
    assert len(done.stdout) <= 10 * MB and len(done.stderr) <= 10 * MB


@pytest.mark.parametrize(
    "code, statuses",
    [
        ("import mmap\nm = [mmap.mmap(-1, 2**25) for _ in range(20)]\n"
         "for each in m: each.write(b'x' * 2**25)\nimport time; time.sleep(30)", "out of memory"),
        ("import os, time\nfor _ in range(6):\n    if os.fork() == 0: break\n"
         "m = bytearray(b'x') * (100 * 2**20)\ntime.sleep(30)", "out of memory"),
        ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
         "too many processes|timeout"),
    ],
    ids=["shared memory", "memory of many", "fork bomb"],
)  # fmt: skip
def test_limits_hold_for_all_processes_together(engine, code, statuses):
    seconds = 2 if "while" in code else 20
    limits = Limits(seconds=seconds, memory=300 * MB, processes=16)
    done = python(code, limits=limits, engine=engine)
    assert done.status in statuses.split("|"), done


def test_what_forks_share_counts_once(engine):
    """A control of the test above: 200 MB in six processes are 200 MB."""
    code = ("import os, time\nm = bytearray(b'x') * (200 * 2**20)\nfor _ in range(6):\n"
            "    if os.fork() == 0: break\ntime.sleep(1)")  # fmt: skip
    done = python(code, limits=Limits(seconds=20, memory=300 * MB), engine=engine)
    assert done.status == "ended" and done.peak > 200 * MB, done


def test_a_box_shows_nothing_and_gives_no_rights(engine):
    for _ in range(2):  # the second finds nothing of the first
        done = python(f"{probe(INSIDE)}os.mkdir('/tmp/left')", engine=engine)
        assert (done.status, done.stdout) == ("ended", b""), done


def test_a_control_outside_all_of_that_is_possible():
    done = subprocess.run([sys.executable, "-c", probe(OUTSIDE)], capture_output=True, text=True)
    assert set(done.stdout.splitlines()) == set(OUTSIDE), done


def test_environment_files_and_open_files_stay_outside(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIMODELS_SECRET", "secret")
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    code = ("import os\nprint(os.environ.get('MINIMODELS_SECRET'),"
            f" os.path.exists({str(secret)!r}),"
            " [n for n in range(3, 99) if os.path.exists('/proc/self/fd/%d' % n)],"
            " len([n for n in os.listdir('/proc') if n.isdigit()]) < 4)")  # fmt: skip
    with secret.open(encoding="utf-8") as handle:
        os.set_inheritable(handle.fileno(), True)
        done = python(code, engine=engine)
    assert done.stdout == b"None False [] True\n", done


def test_what_is_readable_can_be_read_and_not_written(engine, tmp_path):
    folder = tmp_path / "with a space"
    folder.mkdir()
    (folder / "data.txt").write_text("data")
    tmp_path.chmod(0o755)
    code = (f"path = {str(folder / 'data.txt')!r}\nprint(open(path).read())\n"
            "try: open(path, 'w')\nexcept OSError: print('refused')")  # fmt: skip
    done = python(code, readable=(folder,), engine=engine)
    assert done.stdout == b"data\nrefused\n", done
    assert (folder / "data.txt").read_text() == "data"


def test_what_is_hidden_is_empty(engine):
    hidden, shown = box.PACKAGE / "cluster", box.PACKAGE / "errors.py"
    code = (f"import os\nprint(os.listdir({str(hidden)!r}), len(open({str(shown)!r}).read()) > 9)\n"
            "print(len(open(%r).read()))")  # fmt: skip
    for hide, says in (((hidden,), "[] True\n"), ((hidden, box.PACKAGE / "files.py"), "[] True\n")):
        look = box.Box(hidden=hide)
        words = [sys.executable, "-c", code % str(box.PACKAGE / "files.py")]
        argv = box.command(words, look, Limits(), engine)
        done = subprocess.run(argv, env=box.environment(look), capture_output=True, text=True)
        length = done.stdout.removeprefix(says).strip()  # a hidden file is empty, or refused
        assert done.stdout.startswith(says) and (length in ("", "0")) == (len(hide) == 2), done


def test_nobody_outlives_a_run(engine):
    code = ("import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
            "        time.sleep(600)\n    os._exit(0)\nos.wait()")  # fmt: skip
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    assert python(code, engine=engine).status == "ended"
    assert python(f"{code}\ntime.sleep(600)", engine=engine, limits=Limits(1)).status == "timeout"
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_processes_in_a_box_talk_among_themselves(engine):
    code = ("import socket, threading\nserver = socket.create_server(('127.0.0.1', 0))\n"
            "socket.create_connection(server.getsockname()).sendall(b'hello')\n"
            "print(server.accept()[0].recv(9))")  # fmt: skip
    assert python(code, engine=engine).stdout == b"b'hello'\n"


def test_this_machine_cannot_be_reached(engine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        code = f"import socket; socket.create_connection({server.getsockname()!r}, timeout=1)"
        assert b"refused" in python(code, engine=engine).stderr
        with pytest.raises(BlockingIOError):
            server.accept()
        exec(code)  # a control: from here it can
        server.accept()[0].close()


PROGRAMS = {
    "node": ["-e", "console.log(require('fs').readFileSync(0, 'utf8').length + 1)"],
    "lua": ["-e", "print(#io.read('a') + 1)"],
}
HUNGRY = {
    "node": ["-e", "let a = []; while (true) a.push(Buffer.alloc(1 << 24, 1))"],
    "lua": ["-e", "local a = {} while true do a[#a + 1] = string.rep('x', 1 << 20) .. #a end"],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_other_languages_run_with_limits(engine, program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    limits = Limits(seconds=20, memory=512 * MB)
    done = sandbox.run([program, *PROGRAMS[program]], stdin=b"abc", limits=limits, engine=engine)
    assert (done.status, done.stdout) == ("ended", b"4\n"), done
    done = sandbox.run([program, *HUNGRY[program]], limits=limits, engine=engine)
    assert done.status in ("crash", "out of memory") and done.seconds < 20, done


def test_a_program_that_there_is_not(engine):
    done = sandbox.run(["no-such-program"], engine=engine)
    assert done.status == "crash" and b"no-such-program" in done.stderr


def test_without_a_box_nothing_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(box, "works", lambda name: False)
    box.engine.cache_clear()
    try:
        with pytest.raises(UserError, match="no way to run untrusted code safely here"):
            python(f"open({str(tmp_path / 'ran')!r}, 'w')")
        with pytest.raises(UserError, match="no way"):
            python(f"open({str(tmp_path / 'ran')!r}, 'w')", engine="none")
    finally:
        box.engine.cache_clear()
    assert not (tmp_path / "ran").exists()


def test_a_filter_is_made_for_known_machines_only(monkeypatch):
    assert len(calls.program()) % 8 == 0
    assert len(calls.program(calls.PROGRAMS)) < len(calls.program())
    monkeypatch.setattr(calls.platform, "machine", lambda: "pdp11")
    assert not box.works("bubblewrap") and not box.works("namespaces")


def test_who_is_not_root_is_shut_in_as_well():
    """The same probe as nobody, with the system's Python: a lecturer's machine."""
    words = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "/usr/bin/python3",
    ]
    packages = Path(psutil.__file__).parent.parent
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1",
                   "PYTHONPATH": f"{files.repository()}:{packages}"}  # fmt: skip
    code = (
        "import sys\nfrom minimodels import sandbox\nfrom minimodels.sandbox import box\n"
        f"code = {probe(INSIDE)!r}\n"
        f"for name in {ENGINES!r}:\n    if box.works(name):\n"
        "        done = sandbox.run([sys.executable, '-c', code], engine=name)\n"
        "        print(name, done.status, done.stdout)\n"
    )
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become somebody else")
    ready = subprocess.run([*words, "-c", "import psutil, minimodels.sandbox"], env=environment,
                           capture_output=True)  # fmt: skip
    if ready.returncode:
        pytest.skip("nobody has no Python here that can read this folder")
    done = subprocess.run([*words, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done
    for line in done.stdout.splitlines():
        assert line.split(maxsplit=1)[1] == "ended b''", line
