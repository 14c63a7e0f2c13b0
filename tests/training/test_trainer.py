"""The loop: its arithmetic, its schedule, and what it refuses."""

import math

import pytest
import torch
from tiny import VOCABULARY, TinyModel, batches, config

from minimodels.device import can_compile
from minimodels.errors import UserError
from minimodels.training import trainer
from minimodels.training.schedules import warmup_cosine
from minimodels.training.trainer import IGNORED, TrainConfig, cross_entropy_sum, train


def run(model=None, data=batches, **changes):
    model = model or TinyModel()
    return model, list(train(model, data, config(**changes), progress=False))


def test_loss_starts_at_ln_v_and_falls():
    _, rows = run(steps=60)
    assert abs(rows[0]["loss"] - math.log(VOCABULARY)) < 0.1
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.5
    assert [row["step"] for row in rows] == list(range(60))
    assert rows[-1]["tokens"] == 60 * 4 * 16


def uneven(step):
    """Batches of which each has another number of learned targets."""
    inputs, targets = batches(step)
    targets[:, : (step % 4) * 4] = IGNORED
    return inputs, targets


def test_accumulation_of_four_equals_the_large_batch():
    def large(step):
        parts = [uneven(4 * step + i) for i in range(4)]
        return tuple(torch.cat(columns) for columns in zip(*parts, strict=True))

    few_model, many_model = TinyModel(), TinyModel()
    few_model.drop.p = many_model.drop.p = 0.0
    _, few = run(few_model, uneven, accumulation_steps=4)
    _, many = run(many_model, large)
    for a, b in zip(few, many, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-5) and a["tokens"] == b["tokens"]
    for a, b in zip(few_model.parameters(), many_model.parameters(), strict=True):
        assert (a - b).abs().max() < 1e-4
    # the control: a mean of four means is another loss
    model = TinyModel().eval()
    means = [mean_loss(model, *uneven(i)) for i in range(4)]
    assert abs(sum(means) / 4 - mean_loss(model, *large(0))) > 1e-3


def mean_loss(model, inputs, targets):
    return cross_entropy_sum(model, inputs, targets).item() / (targets != IGNORED).sum().item()


def test_ignored_targets_carry_no_gradient():
    model = TinyModel().eval()
    inputs, targets = batches(0)
    targets[:2] = IGNORED
    hidden = model.embedding(inputs).detach().requires_grad_()
    model.embedding.forward = lambda tokens: hidden
    cross_entropy_sum(model, inputs, targets).backward()
    assert hidden.grad[:2].abs().max() == 0 and hidden.grad[2:].abs().min() > 0


def test_a_batch_with_nothing_to_learn_changes_nothing():
    def nothing(step):
        inputs, targets = batches(step)
        return inputs, torch.full_like(targets, IGNORED)

    model, rows = run(data=nothing, weight_decay=0.0)
    assert rows[-1]["loss"] == 0
    assert torch.equal(model.lm_head.weight, TinyModel().lm_head.weight)


def test_schedule_has_its_closed_form():
    _, rows = run(steps=21, warmup_steps=5, learning_rate=1.0, min_learning_rate_ratio=0.1)
    rates = [row["learning_rate"] for row in rows]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    cosine = [0.1 + 0.45 * (1 + math.cos(math.pi * k / 15)) for k in range(16)]
    assert rates[5:] == pytest.approx(cosine)
    assert rates[-1] == pytest.approx(0.1) and max(rates) == 1.0
    assert warmup_cosine(0, 1, 3.0) == 3.0 and warmup_cosine(99, 10, 3.0) == pytest.approx(0.3)


def test_the_loop_equals_a_loop_of_torchs_parts():
    model, reference = TinyModel(), TinyModel()
    model.drop.p = reference.drop.p = 0.0
    optimizer = torch.optim.AdamW(
        [dict(params=[p for p in reference.parameters() if p.ndim > 1], weight_decay=0.1),
         dict(params=[p for p in reference.parameters() if p.ndim == 1], weight_decay=0.0)],
        lr=1e-2, betas=(0.9, 0.95),
    )
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / 8)
    settings = config(steps=8, warmup_steps=8, grad_clip=0.5)
    for row in train(model, batches, settings, progress=False):
        inputs, targets = batches(row["step"])
        loss = torch.nn.functional.cross_entropy(reference(inputs).transpose(1, 2), targets)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        optimizer.step(), warmup.step(), optimizer.zero_grad()
        assert row["loss"] == pytest.approx(loss.item(), abs=1e-5)
        assert row["grad_norm"] == pytest.approx(norm.item(), rel=1e-3)
    for a, b in zip(model.parameters(), reference.parameters(), strict=True):
        assert (a - b).abs().max() < 1e-4  # Adam divides a gradient near zero by itself


def test_bfloat16_learns_the_same_but_not_bit_for_bit():
    _, exact = run(steps=40)
    model, rounded = run(steps=40, dtype="bfloat16")
    assert model.lm_head.weight.dtype == torch.float32
    assert rounded[-1]["loss"] == pytest.approx(exact[-1]["loss"], abs=0.1)
    assert rounded[-1]["loss"] != exact[-1]["loss"]


def test_the_caller_may_evaluate_in_between():
    _, plain = run()
    model, rows = TinyModel(), []
    for row in train(model, batches, config(), progress=False):
        model.eval()
        with torch.no_grad():
            model(batches(99)[0])
        rows.append(row)
    assert [row["loss"] for row in rows] == [row["loss"] for row in plain]


def test_compile_falls_back_with_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(trainer, "can_compile", lambda: (False, "there is no compiler."))
    _, rows = run(compile=True)
    assert "there is no compiler. Training goes on without it" in capsys.readouterr().out

    def broken(function):
        def fail(*_):
            raise RuntimeError("no such instruction\nmore")
        return fail

    monkeypatch.setattr(trainer, "can_compile", lambda: (True, ""))
    monkeypatch.setattr(torch, "compile", broken)
    _, again = run(compile=True)
    assert "failed (no such instruction)" in capsys.readouterr().out
    assert [row["loss"] for row in rows] == [row["loss"] for row in again]


def small_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Embedding(64, 32), torch.nn.Dropout(0.1),
                               torch.nn.Linear(32, 64))


def test_a_compiled_run_equals_a_plain_one(monkeypatch, backend="aot_eager"):
    real, compiled = torch.compile, []

    def compile(function):
        compiled.append(function)
        return real(function, backend=backend)

    monkeypatch.setattr(torch, "compile", compile)
    model, rows = run(small_model(), compile=True, dtype="bfloat16")
    assert compiled == [cross_entropy_sum]
    assert type(model) is torch.nn.Sequential  # the caller's model is not wrapped
    _, plain = run(small_model(), dtype="bfloat16")
    assert rows[-1]["loss"] == pytest.approx(plain[-1]["loss"], abs=0.05)


@pytest.mark.nightly
@pytest.mark.skipif(not can_compile()[0], reason=can_compile()[1])
def test_the_real_compiler(monkeypatch, capsys):
    test_a_compiled_run_equals_a_plain_one(monkeypatch, backend="inductor")
    assert "Training goes on" not in capsys.readouterr().out


@pytest.mark.parametrize("change", [
    dict(steps=0), dict(accumulation_steps=0), dict(checkpoint_every=0),
    dict(dtype="float8"), dict(optimizer="sgd"),
])
def test_bad_settings_are_one_sentence(change):
    with pytest.raises(UserError, match=next(iter(change))):
        TrainConfig(**(dict(steps=5) | change))


def test_a_loss_that_explodes_stops_the_run():
    model = TinyModel()
    with torch.no_grad():
        model.lm_head.weight[0] = float("inf")
    before = model.embedding.weight.clone()
    with pytest.raises(UserError, match="lower the learning rate"):
        run(model)
    assert torch.equal(model.embedding.weight, before)  # stopped before the update
