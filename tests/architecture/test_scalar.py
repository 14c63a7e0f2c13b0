"""Scalars against torch: each operation, shared numbers, and every gradient of two decoders."""

import math
import random
from dataclasses import replace
from unittest import mock

import pytest
import torch
from torch.nn import functional as F

import minimodels
from minimodels.architecture import demo, scalar_decoder, scalar_demo, scalar_figures
from minimodels.architecture.configs import GemmaConfig, NemotronConfig
from minimodels.architecture.scalar import Scalar, history
from minimodels.errors import UserError

SIZES = dict(vocab_size=7, hidden_size=6, intermediate_size=5, num_heads=4, head_dim=4,
             max_length=16, rope_theta=4096.0)  # fmt: skip
CONFIGS = {
    "gemma": GemmaConfig(num_layers=2, num_kv_heads=1, **SIZES),
    "gemma, grouped": GemmaConfig(num_layers=1, num_kv_heads=2, **SIZES),
    "nemotron": NemotronConfig(num_layers=2, num_kv_heads=2, **SIZES),
}
TOKENS = [0, 5, 4, 2, 6, 0]

OPERATIONS = {
    "a + b": lambda a, b: a + b, "a - b": lambda a, b: a - b, "a × b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b, "2 - a": lambda a, b: 2 - a, "1 / a": lambda a, b: 1 / a,
    "-a": lambda a, b: -a, "a³": lambda a, b: a**3, "√a": lambda a, b: a**0.5,
    "exp": lambda a, b: (a * b).exp(), "log": lambda a, b: (a + b).log(),
    "tanh": lambda a, b: (a - b).tanh(), "relu on": lambda a, b: (a - 0.1).relu(),
    "relu off": lambda a, b: (a - 9.0).relu() * b, "a + a": lambda a, b: a + a,
    "a × a": lambda a, b: a * a, "diamond": lambda a, b: (a * b) * (a * b).tanh() + a,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("values", [(0.7, 1.3), (2.5, 0.4)])
def test_an_operation_is_torchs(name, values):
    a, b = (Scalar(value) for value in values)
    x, y = (torch.tensor(value, dtype=torch.double, requires_grad=True) for value in values)
    ours, theirs = OPERATIONS[name](a, b), OPERATIONS[name](x, y)
    ours.backward()
    theirs.backward()
    assert ours.value == pytest.approx(theirs.item(), rel=1e-14)
    for mine, other in ((a, x), (b, y)):
        assert mine.gradient == pytest.approx(0.0 if other.grad is None else other.grad.item(),
                                              rel=1e-13, abs=1e-15)  # fmt: skip


def test_slopes_where_none_exists_are_torchs():
    for value in (0.0, -0.0):
        a, x = Scalar(value), torch.tensor(value, requires_grad=True)
        a.relu().backward()
        x.relu().backward()
        assert a.gradient == x.grad.item() == 0.0
    a = Scalar(0.0)
    (a**2).backward()
    assert a.gradient == 0.0


@pytest.mark.parametrize("wrong", [
    lambda: Scalar(0.0).log(), lambda: Scalar(-1.0).log(), lambda: Scalar(1000.0).exp(),
    lambda: Scalar(-2.0) ** 0.5, lambda: Scalar(0.0) ** 0.5, lambda: 1 / Scalar(0.0),
])  # fmt: skip
def test_what_has_no_slope_is_refused(wrong):
    with pytest.raises(UserError):
        wrong()


def test_random_graphs_are_torchs():
    """Hundreds of nodes that use each other at random: the order of backward matters here."""
    for seed in range(5):
        choose = random.Random(seed)
        start = [choose.uniform(-1, 1) for _ in range(3)]
        picks = [(choose.choice("+*t"), choose.random(), choose.random()) for _ in range(300)]
        roots = []
        leaves = [
            [Scalar(v) for v in start],
            [torch.tensor(v, dtype=torch.double, requires_grad=True) for v in start],
        ]
        for known in (list(leaves[0]), list(leaves[1])):
            for operation, i, j in picks:
                a, b = known[int(i * len(known))], known[int(j * len(known))]
                made = {"+": lambda a, b: a + b, "*": lambda a, b: a * b,
                        "t": lambda a, b: (a - b).tanh()}[operation](a, b)  # fmt: skip
                known.append(made.tanh())
            roots.append(sum(known[1:], known[0]))
        for root in roots:
            root.backward()
        for a, x in zip(*leaves, strict=True):
            assert a.gradient == pytest.approx(x.grad.item(), rel=1e-10)


def test_leaves_accumulate_and_inner_numbers_begin_anew():
    a = Scalar(3.0)
    square = a * a
    loss = square * 2
    for times in (1, 2, 3):
        loss.backward()
        assert (a.gradient, square.gradient, loss.gradient) == (12.0 * times, 2.0, 1.0)


def test_a_number_alone():
    a = Scalar(3.0)
    a.backward()
    assert a.gradient == 1.0 and history(a) == [a]


def test_a_long_chain_needs_no_recursion():
    a = number = Scalar(1.0)
    for _ in range(50_000):
        number = number + 1
    number.backward()
    assert a.gradient == 1.0 and len(history(number)) == 50_001


def widened():
    """What the models compute in float32 (norms, angles), they compute in float64."""
    return mock.patch.object(torch.Tensor, "float", torch.Tensor.double)


def difference(config, backward=Scalar.backward, other=None, wide=True):
    """(largest difference of a gradient, that of the loss) between Scalars and the torch model."""
    model = demo.lively(config).double()
    weights = scalar_decoder.weights_of(model)
    ours = scalar_decoder.next_token_loss(other or config, weights, TOKENS)
    backward(ours)
    tokens = torch.tensor(TOKENS)
    with widened() if wide else mock.MagicMock():
        theirs = F.cross_entropy(model(tokens[None, :-1])[0], tokens[1:])
        theirs.backward()
    mine = scalar_decoder.gradients(weights)
    assert set(mine) == {name for name, _ in model.named_parameters()}
    apart = [(torch.tensor(mine[name], dtype=torch.double) - weight.grad).abs().max().item()
             for name, weight in model.named_parameters()]  # fmt: skip
    assert min(weight.grad.abs().max() for weight in model.parameters()) > 1e-4
    return max(apart), abs(ours.value - theirs.item())


@pytest.mark.parametrize("name", CONFIGS)
def test_every_gradient_of_a_decoder_is_torchs(name):
    """Gradients up to 1.5: 1e-12 is thousands of roundings in float64. The losses likewise."""
    gradient, loss = difference(CONFIGS[name])
    assert gradient < 1e-12 and loss < 1e-13


@pytest.mark.parametrize("name", ["gemma", "nemotron"])
def test_the_models_round_to_float32_inside(name):
    """The control of `widened`: what the chapter finds."""
    gradient, _ = difference(CONFIGS[name], wide=False)
    assert 1e-10 < gradient < 1e-4


def overwriting(root):
    """The bug of the chapter: = in the place of +=."""
    for node in history(root):
        node.gradient = 0.0
    root.gradient = 1.0
    for node in reversed(history(root)):
        for parent, slope in node.parents:
            parent.gradient = slope * node.gradient


def test_overwritten_gradients_differ():
    assert difference(CONFIGS["gemma"], overwriting)[0] > 1e-2


@pytest.mark.parametrize("change", [
    dict(rope_theta=4000.0), dict(num_kv_heads=1, num_heads=2, head_dim=8), dict(norm_eps=1e-3),
])  # fmt: skip
def test_another_decoder_differs(change):
    """Controls: the same weights under another config give other gradients."""
    config = CONFIGS["gemma, grouped"]
    assert difference(config, other=replace(config, **change))[0] > 1e-6


def test_partial_rope_matters():
    whole = replace(CONFIGS["nemotron"], rotary_fraction=1.0)
    assert difference(CONFIGS["nemotron"], other=whole)[0] > 1e-3


def test_gradients_are_slopes():
    """Nudging each tenth weight, without torch: error h² of the curve, 1e-10 / h of rounding."""
    config = CONFIGS["gemma, grouped"]
    weights = scalar_decoder.weights_of(demo.lively(config))
    scalar_decoder.next_token_loss(config, weights, TOKENS).backward()
    for leaf in scalar_decoder.leaves(weights)[::80]:
        value, losses = leaf.value, []
        for sign in (1, -1):
            leaf.value = value + sign * 1e-5
            losses.append(scalar_decoder.next_token_loss(config, weights, TOKENS).value)
        leaf.value = value
        assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(leaf.gradient, abs=1e-7)


def test_leaves_are_all_weights():
    config = CONFIGS["nemotron"]
    model = minimodels.build(config, device="cpu")
    leaves = scalar_decoder.leaves(scalar_decoder.weights_of(model))
    assert len(leaves) == sum(weight.numel() for weight in model.parameters())
    assert len({id(leaf) for leaf in leaves}) == len(leaves)


def test_large_scores_do_not_overflow():
    scores = [Scalar(value) for value in (900.0, 1000.0, -1000.0)]
    chances = scalar_decoder.softmax(scores)
    assert [chance.value for chance in chances] == pytest.approx([math.exp(-100), 1.0, 0.0])
    loss = scalar_decoder.cross_entropy(scores, 0)
    loss.backward()
    assert loss.value == pytest.approx(100.0)
    assert [score.gradient for score in scores] == pytest.approx([-1.0, 1.0, 0.0])


def test_a_graph_shows_every_number():
    x, w = Scalar(2.0), Scalar(0.5)
    loss = (x + (w * x).relu() - 1) ** 2
    loss.backward()
    (axes,) = scalar_figures.graph(loss, {"x": x, "w": w}, "a title").axes
    words = [text.get_text() for text in axes.texts]
    for expected in ("x", "w", "relu", "^2", "value 4", "gradient 6", "gradient 8", "0.5"):
        assert expected in words
    assert len(axes.patches) == 2 * len(history(loss))
    boxes = {(box.get_x(), box.get_y()) for box in axes.patches}
    assert len(boxes) == len(history(loss))  # a box and its heading begin at one corner; none twice


def test_the_slider_draws_again(monkeypatch):
    pytest.importorskip("ipywidgets")
    display = pytest.importorskip("IPython.display")
    titles = []
    handle = mock.Mock(update=lambda figure: titles.append(figure.axes[1].get_title()))

    def show(thing, display_id=False):
        if display_id:
            titles.append(thing.axes[1].get_title())
        return handle

    monkeypatch.setattr(display, "display", show)
    slider = scalar_demo.step_slider(lambda w: w**3, 1.0, 3.0, ([0.1, 0.01], [0.01, 0.0001]))
    slider.value = 0.1
    assert titles[1] == "wrong by 0.33%" and titles[0] != titles[1]  # h² / 3


def test_a_captured_step_is_the_eager_one():
    from torch.fx.experimental.proxy_tensor import make_fx

    model, ids = demo.lively(CONFIGS["gemma"]), torch.tensor(TOKENS)
    step, weights = scalar_demo.step_of(model, ids), list(model.parameters())
    graph = make_fx(step)(*weights)
    with torch.no_grad():
        weights[0].mul_(0.9)  # what was captured is the computation, and not its numbers
    loss = F.cross_entropy(model(ids[None, :-1])[0], ids[1:])
    loss.backward()
    for captured, eager in zip(graph(*weights), [loss, *(w.grad for w in weights)], strict=True):
        torch.testing.assert_close(captured, eager, rtol=1e-5, atol=1e-6)


def test_behind_finds_each_box_once():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    assert len(scalar_demo.behind((y + y).sum())) == 4  # sum, +, ×, and x's own


@pytest.mark.parametrize("name", ["gemma", "nemotron"])
def test_what_waits_is_what_a_real_model_keeps(name):
    """Fake tensors against real ones, and the operations against two for each weight and token."""
    config = CONFIGS[name]
    boxes, kept, forward, backward = scalar_demo.waiting(config, 8)
    assert torch.get_default_dtype() == torch.float32
    model = minimodels.build(config, device="cpu").to(torch.bfloat16)
    text, real = torch.zeros(9, dtype=torch.long), scalar_demo.Kept(model)
    with real.listening():
        loss = F.cross_entropy(model(text[None, :-1]).float()[0], text[1:])
    assert boxes == len(scalar_demo.behind(loss)) and kept == real.bytes()
    used = sum(w.numel() for n, w in model.named_parameters()
               if w.dim() == 2 and (config.tie_embeddings or "embed" not in n))  # fmt: skip
    assert forward == 2 * used * 8 and backward == 2 * forward


def test_two_views_are_one_memory():
    model = torch.nn.Linear(4, 4)
    kept, x = scalar_demo.Kept(model), torch.ones(3, 4)
    for tensor in (x, x.T, x[1:], model.weight, model.weight.T):
        assert kept.add(tensor) is tensor
    assert sum(kept.bytes().values()) == x.nbytes
