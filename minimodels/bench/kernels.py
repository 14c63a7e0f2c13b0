"""Our Triton kernels beside plain torch, torch.compile, SDPA and Liger-Kernel, on this GPU.

    minimodels bench kernels                     # all of them: some minutes
    minimodels bench kernels rms_norm glu        # two kernel files

Sizes are those of Gemma 2B, Gemma 7B and Nemotron-4 15B. Each kernel must equal its reference
before it is timed. Without a GPU nothing is measured: what is printed then is the roofline's bound,
which is computed.
"""

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from importlib.metadata import PackageNotFoundError, version

import torch
from tqdm import tqdm

from minimodels import device
from minimodels.bench import kernel_formats as formats
from minimodels.bench import kernel_products as products
from minimodels.bench import kernel_rows as rows
from minimodels.bench.kernel_case import Case, Cost, Size, size_of
from minimodels.bench.kernel_clock import Clock, roof, state
from minimodels.bench.kernel_contest import OURS, REFUSED, Row, contest
from minimodels.bench.kernel_goals import goals, share_of_roof
from minimodels.cluster.hardware import accelerator
from minimodels.cluster.roofline import Machine, bound
from minimodels.errors import UserError

G2, G7, N15 = "gemma-2b", "gemma-7b", "nemotron-4-15b"
CASES = (  # how a case is made, and at which models' sizes it is measured
    (rows.rms_norm_case, (G2, G7)),
    (rows.layer_norm_case, (N15,)),
    (rows.geglu_case, (G2, G7)),
    (rows.swiglu_case, (G7,)),
    (rows.squared_relu_case, (N15,)),
    (rows.rope_case, (G2, G7, N15)),
    (rows.softmax_case, (G7,)),
    (rows.adamw_case, (G7,)),
    (rows.cross_entropy_case, (G2, G7, N15)),
    (products.flash_attention_case, (G2, G7, N15)),
    (products.decode_attention_case, (G2, G7, N15)),
    (products.paged_attention_case, (G7, N15)),
    (products.grouped_matmul_case, (G7,)),
    (formats.int8_matmul_case, (G7,)),
    (formats.int4_matmul_case, (G7,)),
    (formats.mx_matmul_case, (G7,)),
    (formats.fp8_quantize_case, (G7,)),
    (formats.fp8_matmul_case, (G7,)),
    (products.lora_case, (G7,)),
    (products.routing_case, (G7,)),
    (products.sampling_case, (G7,)),
)
PRINTED = "H100"  # whose roofline is computed where there is no GPU
NO_GPU = (
    "nothing was measured: there is no GPU here that kernels are compiled for. What the compiler "
    "makes of them can be read without one: `python -m minimodels.kernels.compile`."
)


def costs(model: str = G7, **changes) -> dict[str, tuple[float, float]]:
    """{kernel: (FLOPs, least bytes)} of every kernel at one model's size, forward.

    changes: numbers of the Size to replace, as batch=1.
    """
    size = size_of(model).at(**changes)
    made = [make(size) for make, _ in CASES]
    return {case.name: (case.cost.flops, case.cost.bytes) for case in made}


def main(names: list[str], as_json: bool = False) -> int:
    """Measure and print; 0, or 1 if a goal is missed or a kernel is wrong.

    Raises UserError (exit code 2) where nothing can be measured, and for unknown names.
    """
    chosen = list(select(names))
    if device.triton_mode() != "compiled":
        table = [unmeasured(case) for case, _ in chosen]
        if as_json:
            _json({"measured": False, "computed_for": PRINTED, "computed": table})
        else:
            print(f"computed, not measured: the least time on an {PRINTED} by its data sheet")
            print("\n".join(_bound_line(line) for line in table), flush=True)
        raise UserError(NO_GPU)
    clock, (machine, source) = Clock(device.device()), roof(device.device())
    found = []
    for case, size in tqdm(chosen, desc="kernels", disable=not as_json):  # else rows show it
        for row in contest(case, size, clock):
            found.append(row)
            if not as_json:
                print("\n".join(lines(row, machine)) + "\n", flush=True)
    about = report(found, machine, source, names)
    _json(about) if as_json else print(closing(about))
    return 0 if about["missed"] == about["refused"] == 0 else 1


def _json(value: dict) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False), flush=True)


def select(names: list[str]) -> Iterator[tuple[Case, Size]]:
    """The cases of some kernel files, or all; UserError for a name that has none."""
    known = {}
    for make, models in CASES:
        for model in models:
            case = make(size_of(model))
            known.setdefault(case.kernel, []).append((case, size_of(model)))
    for name in names or known:
        if name not in known:
            raise UserError(f"no kernel file {name!r} is measured: choose of {', '.join(known)}.")
        yield from known[name]


def lines(row: Row, machine: Machine) -> list[str]:
    """A row as text: a line for each contestant and each goal."""
    least, limit = bound(row.cost.flops, row.cost.bytes, machine)
    told = [f"{row.name} {row.leg}: {row.size}; at best {1000 * least:.3f} ms ({limit})"]
    if row.speed:
        told[0] += f"; GPU at {row.speed}"
    for who, time in row.times.items():
        share = share_of_roof(row, who, machine)
        told.append(
            f"  {who:16}{time.median:9.3f} ms ({time.low:.3f} to {time.high:.3f})"
            f"  {_rate(row.cost, time.median, limit):>14}  {share:4.0%} of the roofline"
            f"  {row.peaks[who] / 1e9:7.3f} GB more"
        )
    told += [f"  {who:16} left out: {why}" for who, why in row.left_out.items()]
    return told + [f"  {goal.line()}" for goal in goals(row, machine)]


def _rate(cost: Cost, milliseconds: float, limit: str) -> str:
    if limit == "compute":
        return f"{cost.flops / milliseconds / 1e9:,.0f} TFLOP/s"
    return f"{cost.bytes / milliseconds / 1e6:,.0f} GB/s"


def report(found: list[Row], machine: Machine, source: str, names: list[str]) -> dict:
    """All that was measured, with what is needed to measure it again."""
    reached = [goal for row in found for goal in goals(row, machine)]
    return {
        "measured": True,
        "command": " ".join(["minimodels bench kernels", *names]),
        "date": date.today().isoformat(),
        "gpu": asdict(machine) | {"peaks": source} | state(),
        "versions": {"python": platform.python_version()} | dict(_versions()),
        "met": sum(goal.met is True for goal in reached),
        "missed": sum(goal.met is False for goal in reached),
        "not_compared": sum(goal.met is None for goal in reached),
        "refused": sum(row.left_out.get(OURS, "").startswith(REFUSED) for row in found),
        "rows": [
            asdict(row)
            | {"goals": [asdict(goal) | {"met": goal.met} for goal in goals(row, machine)]}
            for row in found
        ],
    }


def _versions() -> Iterator[tuple[str, str]]:
    yield "cuda", str(torch.version.cuda or torch.version.hip)
    for name in ("torch", "triton", "liger-kernel"):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def closing(about: dict) -> str:
    gpu, versions = about["gpu"], about["versions"]
    told = ", ".join(f"{name} {value}" for name, value in (versions | gpu).items())
    return (
        f"{about['met']} goals met, {about['missed']} missed, {about['not_compared']} with nothing "
        f"to compare, {about['refused']} rows refused.\n{told}, {about['date']}"
    )


def unmeasured(case: Case) -> dict:
    """What is known of a case without a GPU: the least time on an H100."""
    least, limit = bound(case.cost.flops, case.cost.bytes, accelerator(PRINTED).machine())
    return {"name": case.name, "size": case.size, "flops": case.cost.flops,
            "bytes": case.cost.bytes, "computed_ms": 1000 * least, "limit": limit}  # fmt: skip


def _bound_line(known: dict) -> str:
    size = f"{known['flops'] / 1e9:,.1f} GFLOP, {known['bytes'] / 1e6:,.0f} MB"
    least = f"at best {known['computed_ms']:.3f} ms ({known['limit']})"
    return f"{known['name']:17} {known['size']}: {size}, {least}"
