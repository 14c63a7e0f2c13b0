"""Each operation as it would be launched on a GPU, compiled: run by test_launches.py.

    python launch_cases.py rms_norm

Float32, which has no tensor cores, for gfx942, whose programs have the least shared memory; and
sizes of 1, which Triton makes constants of, in bf16 for sm_90.
"""

import sys

import torch
from launches import caught

from minimodels.kernels.adamw import adamw
from minimodels.kernels.compile import builds, resources
from minimodels.kernels.cross_entropy import linear_cross_entropy
from minimodels.kernels.decode_attention import decode_attention
from minimodels.kernels.flash_attention import flash_attention
from minimodels.kernels.glu import geglu, squared_relu, swiglu
from minimodels.kernels.grouped_matmul import grouped_matmul
from minimodels.kernels.int_matmul import int_matmul
from minimodels.kernels.layer_norm import layer_norm
from minimodels.kernels.lora import lora
from minimodels.kernels.paged_attention import paged_attention
from minimodels.kernels.quant import encode
from minimodels.kernels.rms_norm import rms_norm
from minimodels.kernels.rope import rope
from minimodels.kernels.routing import top_k_routing
from minimodels.kernels.sampling import top_p
from minimodels.kernels.softmax import softmax

HERE = ("adamw", "cross_entropy", "decode_attention", "flash_attention", "flash_attention_backward",
        "glu", "grouped_matmul", "int_matmul", "layer_norm", "lora", "paged_attention", "rms_norm",
        "rope", "routing", "sampling", "softmax")  # fmt: skip
LARGEST = {"gfx942": 65_536, "sm_80": 166_912, "sm_90": 232_448}  # bytes of shared memory
SPILLS = 96  # bytes a thread in float32, which is for tests and small models


def sizes(one: bool, *usual: int):
    return [1] * len(usual) if one else usual


def norms(norm):
    def call(draw, one):
        rows, D = sizes(one, 3, 6144 if norm is layer_norm else 3072)
        x, weight = draw(rows, D), draw(D)
        more = (draw(D),) if norm is layer_norm else ()
        norm(x, weight, *more, 1e-6).sum().backward()
        y, total = norm(x, weight, *more, 1e-6, residual=draw(rows, D))
        (y + total).sum().backward()

    return call


def attention(d):
    def call(draw, one):
        B, H, K, T, S = sizes(one, 1, 4, 2, 17, 33)
        q, k, v = (draw(B, n, h, d).transpose(1, 2) for n, h in ((T, H), (S, K), (S, K)))
        flash_attention(q, k, v)[0].sum().backward()
        ids = torch.zeros(B, S, dtype=torch.int32)
        flash_attention(q, k, v, window=1 if one else 5, softcap=2.0, segments=ids)[
            0
        ].sum().backward()

    return call


@torch.no_grad()
def decoding(draw, one):
    for d in (64, 128, 256):
        H, K, S = sizes(one, 16, 2, 33)
        k, pages = draw(1, K, S, d), draw(3, 1 if one else 16, K, d)
        decode_attention(draw(1, H, 1, d), k, k, softcap=2.0)
        table, lengths = torch.zeros(1, 2, dtype=torch.int32), torch.tensor([2])
        paged_attention(draw(1, H, 1, d), pages, pages, table, lengths[:1])


def bends(draw, one):
    shape = sizes(one, 3, 100)
    for bend in (geglu, swiglu):
        bend(draw(*shape), draw(*shape)).sum().backward()
    squared_relu(draw(*shape)).sum().backward()


def turn(draw, one):
    for H, d, half in ((1, 2, 1),) if one else ((16, 256, 128), (48, 128, 32), (3, 80, 40)):
        angles = draw(1, 1, 3, half).detach()
        rope(draw(1, 3, H, d).transpose(1, 2), angles, angles).sum().backward()


def loss(draw, one):
    N, D, V = sizes(one, 3, 16, 5000)
    for cap in (None, 30.0):
        targets = torch.zeros(N, dtype=torch.int64)
        linear_cross_entropy(draw(N, D), draw(V, D), targets, 1e-4, cap).backward()


def adapter(draw, one):
    for M in (1,) if one else (3, 300):
        N, K, r = sizes(one, 48, 64, 16)
        lora(draw(M, K), draw(N, K), draw(r, K), draw(N, r)).sum().backward()


def experts(draw, one):
    for S in (1,) if one else (3, 600):
        E, N, K = sizes(one, 4, 48, 64)
        counts = torch.tensor([S] + [0] * (E - 1))
        grouped_matmul(draw(S, K), draw(E, N, K), counts).sum().backward()
    for E, k in ((1, 1),) if one else ((128, 8), (8, 2), (100, 6)):
        top_k_routing(draw(3, E), k)  # its backward is plain torch


def small_weights(draw, one):
    for name, group in (("int8", 128), ("int4", 128), ("int4", 32)):
        weight = encode(torch.randn(1 if one else 48, 128), name, group)
        int_matmul(draw(1 if one else 3, 128), weight).sum().backward()


def rows(draw, one):
    for S in (1,) if one else (100, 8192):
        softmax(draw(2, S), 3.0).sum().backward()
        top_p(draw(2, S).detach(), torch.rand(2), 0.9)
    p = draw(1 if one else 100).detach()
    adamw(p, p, p.float(), p.float(), 1, lr=0.1)


CASES = {
    "rms_norm": norms(rms_norm), "layer_norm": norms(layer_norm), "decoding": decoding,
    "bends": bends, "rope": turn, "cross_entropy": loss, "lora": adapter, "experts": experts,
    "int_matmul": small_weights, "rows": rows,
    **{f"attention {d}": attention(d) for d in (64, 128, 256)},
}  # fmt: skip


def as_built(draw):
    """What attention's files build beside the cases: their head sizes with their switches."""
    ids = torch.zeros(1, 33, dtype=torch.int32)
    told = {
        64: [{"segments": ids}],
        128: [{}, {"segments": ids}],
        256: [{"softcap": 2.0, "window": 5}],
    }
    for d, every in told.items():
        for some in every:
            q, k = draw(1, 4, 17, d), draw(1, 2, 33, d)
            flash_attention(q, k, k, **some)[0].sum().backward()
    with torch.no_grad():
        k, pages = draw(1, 2, 33, 128), draw(3, 16, 2, 128)
        decode_attention(draw(1, 16, 1, 128), k, k)
        table, lengths = torch.zeros(1, 2, dtype=torch.int32), torch.tensor([2])
        paged_attention(draw(1, 16, 1, 128), pages, pages, table, lengths)
        k = draw(1, 2, 33, 256)
        decode_attention(draw(1, 16, 1, 256), k, k, softcap=2.0, segments=ids)


def unlaunched(target: str) -> list[str]:
    """Builds of the files that no launch is like: same kernel, constants, warps and stages."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: (  # noqa: E731
        torch.randn(shape, generator=generator).bfloat16().requires_grad_()
    )
    with caught(target) as launches:
        as_built(draw)
        for call in CASES.values():
            call(draw, False)
    free = {"PARTS"}  # by the number of processors, which nobody knows here
    alike = lambda constants: {n: c for n, c in constants.items() if n not in free}  # noqa: E731
    made = [
        (one.kernel, alike(one.constants), one.num_warps, one.num_stages) for one in launches
    ]  # fmt: skip
    usual = 2 if target == "gfx942" else 3
    return [
        build.name for file in HERE for build in builds(file) if target in build.targets
        and (build.kernel, alike(build.constants), build.num_warps, build.num_stages or usual)
        not in made
    ]  # fmt: skip


def launched(name: str, target: str, dtype, one: bool) -> list:
    """The distinct launches of a case."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: (  # noqa: E731
        torch.randn(shape, generator=generator).to(dtype).requires_grad_()
    )
    with caught(target) as launches:
        CASES[name](draw, one)
    return list({launch.key(): launch for launch in launches}.values())


def compile_all(name: str, target: str, dtype, one: bool) -> int:
    found = launched(name, target, dtype, one)
    for launch in found:
        used = resources(launch.compile(target))
        assert used.shared <= LARGEST[target], (target, launch.key(), used)
        assert used.spilled <= SPILLS, (target, launch.key(), used)
    return len(found)


if __name__ == "__main__":
    if sys.argv[1] == "builds":
        print(*unlaunched(sys.argv[2]), sep="\n")
        sys.exit()
    count = compile_all(sys.argv[1], "gfx942", torch.float32, one=False)
    print(count, compile_all(sys.argv[1], "sm_90", torch.bfloat16, one=True))
