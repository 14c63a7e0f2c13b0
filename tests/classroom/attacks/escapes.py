"""Getting out: to the network, to other processes, to files, to what comes after."""

from tests.classroom.attacks import Attack

WRONG = "\ndef scaled(x, d): return 0.0\n"
TELL = "\ndef scaled(x, d): raise Exception(' '.join(sorted(map(str, found), reverse=True)))\n"
UNSHARE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
found = []
def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0: raise OSError(0, os.strerror(ctypes.get_errno()))
"""

ATTACKS = [
    Attack("a connection to this machine", """
import socket
socket.create_connection(("127.0.0.1", PORT), timeout=1).sendall(b"hello")
""" + WRONG, "invalid", wins_openly=True),
    Attack("a connection to the internet", """
import socket
found = []
for place in (("192.0.2.1", 53), ("198.51.100.1", 53), ("203.0.113.1", 80)):
    try:  # UDP asks for a route and sends nothing; nobody has these addresses (RFC 5737)
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(place)
        found.append("SUCCESS")
    except OSError as error:
        found.append(error.strerror)
""" + TELL, "fail", "unreachable"),
    Attack("sockets of this machine", """
import glob, socket
found = []
for place in ["/run/docker.sock", "/var/run/dbus/system_bus_socket", "\\0minimodels-canary",
              *glob.glob("/run/**/*.sock", recursive=True)]:
    try:
        socket.socket(socket.AF_UNIX).connect(place)
        found.append("SUCCESS")
    except OSError as error:
        found.append(error.strerror)
""" + TELL, "fail", wins_openly=True),
    Attack("killing every process", """
import os, signal
for pid in (-1, 0, VICTIM, os.getppid(), 1):
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError:
        pass
""" + WRONG, "fail|invalid|crash", loses_all=True),
    Attack("killing the parent", """
import os, signal
def scaled(x, d):
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(VICTIM, signal.SIGKILL)
""", "fail|crash"),
    Attack("a process that stays", """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            try:
                open(TARGET, "a").write("still here")
            except OSError:
                pass
            time.sleep(0.1)
    os._exit(0)
""" + WRONG, "fail"),
    Attack("a process that answers later", """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(1)
    while True: os.write(4, b"x" * 4096)
""" + WRONG, "fail"),
    Attack("writing files of this machine", """
import os
found = []
for place in (TARGET, os.path.dirname(torch.__file__) + "/__init__.py", "/usr/local/bin/python3",
              "/etc/profile", "/proc/sys/kernel/core_pattern", "/proc/1/mem"):
    try:
        with open(place, "a") as file: file.write(" ")
        found.append("SUCCESS")
    except OSError as error:
        found.append(error.strerror)
""" + TELL, "fail"),
    Attack("a conftest, a .pth, a sitecustomize for the next one", """
import os, site, sys
found = []
places = [*sys.path, *site.getsitepackages(), "/", "/work", "/usr/lib/python3/dist-packages",
          os.path.dirname(torch.__file__), os.environ.get("PYTHONPATH", "/")]
for place in places:
    for name in ("conftest.py", "x.pth", "sitecustomize.py", "usercustomize.py", "colorsys.py"):
        try:
            path = os.path.join(place or ".", name)
            if path.startswith(("/tmp", "./")): continue
            open(path, "x").write("import os; os._exit(0)")
            found.append("SUCCESS " + path)
        except OSError:
            pass
""" + TELL, "fail"),
    Attack("namespaces of one's own", UNSHARE + """
for flags in (0x10000000, 0x10020000, 0x00020000, 0x40000000):
    try:
        call("unshare", flags)
        found.append("SUCCESS")
    except OSError as error:
        found.append(error.strerror)
for number, flags in ((56, 0x10000000 | 17), (435, 0)):
    if libc.syscall(number, flags, 0, 0, 0, 0) == 0: os._exit(0)
    found.append(os.strerror(ctypes.get_errno()))
""" + TELL, "fail", "not permitted"),
    Attack("taking the covers off", UNSHARE + """
for place in (b"/proc", b"/tmp", b"/dev/shm", b"/"):
    try:
        call("umount2", place, 2)
        found.append("SUCCESS")
    except OSError as error:
        found.append(error.strerror)
try:
    call("mount", b"proc", b"/tmp", b"proc", 0, None)
    found.append("SUCCESS")
except OSError as error:
    found.append(error.strerror)
""" + TELL, "fail", "not permitted"),
    Attack("root again", UNSHARE + """
for name, arguments in (("setuid", (0,)), ("setresuid", (0, 0, 0)), ("setgroups", (0, None)),
                        ("chroot", (b"/tmp",)), ("ptrace", (16, 1, 0, 0))):
    try:
        call(name, *arguments)
        found.append("SUCCESS " + name)
    except OSError as error:
        found.append(error.strerror)
""" + TELL, "fail", "not permitted"),
    Attack("looser limits", """
import resource
found = []
for kind in (resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_CPU):
    try:
        resource.setrlimit(kind, (resource.RLIM_INFINITY,) * 2)
        found.append("SUCCESS")
    except (OSError, ValueError) as error:
        found.append(error)
""" + TELL, "fail"),
    Attack("a program with other rights", """
import subprocess
found = []
for words in (["su", "-c", "id"], ["sudo", "-n", "id"], ["mount"], ["passwd", "-S"]):
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=2)
        found.append("SUCCESS" if "uid=0(" in done.stdout else "no")
    except (OSError, subprocess.TimeoutExpired) as error:
        found.append(type(error).__name__)
""" + TELL, "fail"),
    Attack("memory of another process", UNSHARE + """
buffer = ctypes.create_string_buffer(8)
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
mine, theirs = Part(ctypes.addressof(buffer), 8), Part(0x400000, 8)
for pid in (1, VICTIM, os.getppid()):
    try:
        call("process_vm_readv", pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
        found.append("SUCCESS")
    except OSError as error:
        found.append(error.strerror)
""" + TELL, "fail", "not permitted"),
]  # fmt: skip
