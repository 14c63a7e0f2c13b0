"""What this machine is and can do, measured in a few seconds and remembered.

Each speed is the best of several tries: whatever else runs can only make a try slower.
"""

import hashlib
import os
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from minimodels import device, files
from minimodels.cluster.roofline import Machine
from minimodels.errors import UserError

GIB, MIB = 2**30, 2**20
SETS = (  # instruction sets that decide how fast matrix products are
    "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve",
    "bf16", "i8mm",
)


@dataclass(frozen=True)
class Survey:
    """One machine. Speeds are of its compute device: the GPU if there is one, else the CPU."""

    processor: str
    device: str  # where the products ran: "cpu", "cuda" or "mps"
    cores: int  # that this process may use
    memory_gb: float  # GiB that this process may use
    caches: dict[str, int]  # bytes by level: {"L1d": …, "L2": …, "L3": …}; empty if not told
    instruction_sets: tuple[str, ...]
    copy_gbs: float  # GB/s, a large copy, counting the bytes read and the bytes written
    float32_gflops: float  # GFLOP/s of square matrix products
    bfloat16_gflops: float
    disk_mbs: float  # MB/s written to the cache folder's disk and synchronized
    busy: float  # share of the cores busy with other things just before: above 0.2, measure again

    def machine(self, dtype: str = "float32") -> Machine:
        """Its measured roofline in "float32" or "bfloat16"."""
        if dtype not in ("float32", "bfloat16"):
            raise UserError(f"no survey of {dtype}: ask for float32 or bfloat16.")
        gflops = getattr(self, f"{dtype}_gflops")
        return Machine(f"this machine, {dtype}", gflops * 1e9, self.copy_gbs * 1e9)


def survey(fresh: bool = False) -> Survey:
    """The survey of this machine: from the cache folder, or measured (about 4 s) and put there.

    `fresh` measures again. A stored survey counts only for the same processor, cores, device and
    versions. Raises UserError if the disk is full.
    """
    path = files.cache_dir() / f"survey-{_key()}.json"
    if not fresh:
        try:
            stored = files.read_json(path)
            return Survey(**stored | {"instruction_sets": tuple(stored["instruction_sets"])})
        except (UserError, TypeError, KeyError):  # none yet, or written by another version
            pass
    result = _measure()
    files.write_json(path, asdict(result))
    return result


def matmul_flops(dtype: str, where, seconds: float = 0.6) -> float:
    """Best FLOP/s over square products of three sizes, about `seconds` in all.

    The best size differs by machine: small ones stay in cache, large ones fill all units.
    """
    import torch

    sizes = (512, 1024, 2048) if where.type == "cpu" else (2048, 4096, 8192)
    best, fastest = 0.0, 0.0
    for size in sizes:
        if 8 * fastest > seconds:  # the next size would take eight times as long: too slow here
            break
        a = torch.randn(size, size, device=where).to(getattr(torch, dtype))
        out = torch.empty_like(a)
        fastest = _fastest(lambda a=a, out=out: torch.mm(a, a, out=out), where, seconds / 3)
        best = max(best, 2 * size**3 / fastest)
    return best


def copy_bandwidth(where, seconds: float = 0.6) -> float:
    """Best bytes/s of a copy that no cache can hold: bytes read plus bytes written.

    The rule of the STREAM benchmark (McCalpin 1995): at least four times the largest cache.
    """
    import torch

    largest = max(caches().values(), default=0)
    size = max(256 * MIB, min(4 * largest, GIB)) // 4
    source = torch.ones(size, device=where)
    target = torch.zeros_like(source)  # zeros, not empty: its pages must exist
    return 2 * source.nbytes / _fastest(lambda: target.copy_(source), where, seconds)


def disk_speed(folder: Path, size: int = 32 * MIB) -> float:
    """Bytes/s of writing a new file in `folder` until it is safe on the disk."""
    block = os.urandom(MIB)  # random: a disk that compresses must not win
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            start = time.perf_counter()
            for _ in range(size // MIB):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            return size / (time.perf_counter() - start)
    except OSError as error:
        if error.errno in files.DISK_FULL:
            raise UserError(
                f"the disk of {folder} is full: free {size // MIB} MB and survey again."
            ) from error
        raise


def caches() -> dict[str, int]:
    """Bytes of each data cache as one core sees it, by level (Linux only; else empty)."""
    found = {}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (entry / name).read_text(encoding="utf-8").strip()
                for name in ("level", "type", "size")
            )
        except OSError:  # a virtual machine may show a cache without its size
            continue
        if kind != "Instruction" and size.endswith("K"):
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = int(size[:-1]) * 1024
    return found


def _measure() -> Survey:
    where = device.device()
    busy = psutil.cpu_percent(interval=0.2) / 100
    products = {
        f"{dtype}_gflops": round(matmul_flops(dtype, where) / 1e9, 1)
        for dtype in ("float32", "bfloat16")
    }
    return Survey(
        processor=_processor(where),
        device=where.type,
        cores=device.threads(),
        memory_gb=round(_memory() / GIB, 1),
        caches=caches(),
        instruction_sets=tuple(name for name in SETS if name in device.cpu_flags()),
        copy_gbs=round(copy_bandwidth(where) / 1e9, 2),
        disk_mbs=round(disk_speed(files.cache_dir()) / 1e6, 1),
        busy=round(busy, 2),
        **products,
    )


def _fastest(work, where, seconds: float) -> float:
    """The least seconds of one `work()`, tried for about `seconds` and at least twice."""
    work()
    _wait(where)
    times, end = [], time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        _wait(where)
        times.append(time.perf_counter() - start)
    return min(times)


def _wait(where) -> None:
    """Until the device has done what was asked of it; a CPU always has."""
    if where.type != "cpu":
        import torch

        torch.accelerator.synchronize()


def _processor(where) -> str:
    import torch

    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _memory() -> int:
    """Bytes of memory, or the container's limit (cgroup v2) if that is less."""
    total, limit = psutil.virtual_memory().total, Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="utf-8").strip() if limit.exists() else ""
    return min(total, int(text)) if text.isdigit() else total


def _key() -> str:
    import torch

    where = device.device()
    parts = (_processor(where), where.type, device.threads(), torch.__version__, platform.machine())
    return hashlib.sha256(repr(parts).encode("utf-8")).hexdigest()[:12]
