"""The optimizers by hand equal torch's own."""

import pytest
import torch
from tiny import TinyModel, batches
from torch import nn
from torch.nn.utils import clip_grad_norm_

from minimodels.training.muon import Muon, muon_groups, orthogonalize
from minimodels.training.optimizers import AdamW, clip_gradients, decay_groups
from minimodels.training.trainer import cross_entropy_sum

SETTINGS = dict(lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)


def twenty_steps(optimizer_class, groups=lambda model: model.parameters(), **settings):
    model = TinyModel().eval()
    optimizer = optimizer_class(groups(model), **settings)
    for step in range(20):
        optimizer.param_groups[0]["lr"] = settings["lr"] * (1 - step / 40)  # a schedule
        (cross_entropy_sum(model, *batches(step)) / 64).backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_adamw_equals_torch_over_twenty_steps():
    ours, theirs = twenty_steps(AdamW, **SETTINGS), twenty_steps(torch.optim.AdamW, **SETTINGS)
    assert (ours - theirs).abs().max() <= 1e-6
    for control in (dict(weight_decay=0.0), dict(betas=(0.9, 0.99)), dict(eps=1e-4)):
        other = twenty_steps(AdamW, **(SETTINGS | control))
        assert (other - theirs).abs().max() > 1e-5


def test_adamw_lets_a_weight_without_gradient_wait():
    for kind in (AdamW, torch.optim.AdamW):
        a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        optimizer = kind([a, b], **SETTINGS)
        for step in range(3):
            a.grad = torch.full((3,), 0.5)
            b.grad = torch.full((3,), 0.5) if step == 2 else None
            optimizer.step()
        if kind is AdamW:
            ours = (a.detach().clone(), b.detach().clone())
    assert torch.allclose(ours[0], a, atol=1e-7) and torch.allclose(ours[1], b, atol=1e-7)


def test_vectors_do_not_decay():
    model = TinyModel()
    decaying, resting = decay_groups(model, 0.1)
    assert all(p.ndim >= 2 for p in decaying["params"]) and decaying["weight_decay"] == 0.1
    assert all(p.ndim < 2 for p in resting["params"]) and resting["weight_decay"] == 0
    assert len(decaying["params"]) + len(resting["params"]) == len(list(model.parameters()))


def test_frozen_weights_are_in_no_group():
    model = TinyModel()
    model.embedding.weight.requires_grad_(False)
    for groups in (decay_groups, muon_groups):
        members = {id(p) for group in groups(model, 0.1) for p in group["params"]}
        assert members == {id(p) for p in model.parameters() if p.requires_grad}


@pytest.mark.parametrize("shape", [(32, 32), (96, 32), (32, 80), (7, 5)])
def test_muon_equals_torch(shape):
    def run(optimizer_class, **settings):
        generator = torch.Generator().manual_seed(1)
        weight = nn.Parameter(torch.randn(shape, generator=generator))
        optimizer = optimizer_class([dict(params=[weight], **settings)], lr=0.02, weight_decay=0.1)
        for _ in range(10):
            weight.grad = torch.randn(shape, generator=generator)
            optimizer.step()
        return weight.detach()

    ours = run(Muon, muon=True)
    theirs = run(torch.optim.Muon, adjust_lr_fn="match_rms_adamw")
    moved = (ours - run(Muon, muon=True, momentum=0.0)).abs().max()
    error = (ours - theirs).abs().max()
    assert error <= 0.02  # torch runs Newton–Schulz in bf16: three digits
    assert moved > 5 * error


@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (3, 16, 40)])
def test_orthogonalize_brings_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = torch.linalg.svdvals(matrix / matrix.norm(dim=(-2, -1), keepdim=True))
    after = torch.linalg.svdvals(orthogonalize(matrix))
    assert after[before > 0.01].min() > 0.6 and after.max() < 1.3
    assert before.max() < 0.9


def test_muon_takes_hidden_matrices_only():
    model = TinyModel()
    hidden = muon_groups(model, 0.1)[0]
    assert hidden["muon"]
    names = {name for name, p in model.named_parameters() for q in hidden["params"] if p is q}
    assert names == {"mixer.weight_ih_l0", "mixer.weight_hh_l0"}


@pytest.mark.parametrize("limit", [0.1, 1.0, 1e6])
def test_clipping_equals_torch(limit):
    def gradients():
        model = TinyModel().eval()
        cross_entropy_sum(model, *batches(0)).backward()
        return model

    ours, theirs = gradients(), gradients()
    norm = clip_gradients(ours.parameters(), limit)
    assert torch.allclose(norm, clip_grad_norm_(theirs.parameters(), limit), rtol=1e-6)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-5, atol=1e-9)
    untouched = gradients()
    assert clip_gradients(untouched.parameters(), None) == pytest.approx(norm.item(), rel=1e-6)
    same = torch.equal(untouched.lm_head.weight.grad, ours.lm_head.weight.grad)
    assert same == (limit > norm)
