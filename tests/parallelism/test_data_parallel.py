"""Two ranks against one process on the same global batch.

Tolerance 1e-6 on gradients of about 0.02: float32 sums in another order; seen 1e-8.
"""

from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F

import minimodels.parallelism.train_ddp as script
from minimodels.architecture.build import build
from minimodels.architecture.configs import GemmaConfig
from minimodels.data.packing import pack
from minimodels.errors import UserError
from minimodels.parallelism.data_parallel import (
    average_gradients,
    buckets,
    same_weights,
    shard_batch,
)
from minimodels.parallelism.train_ddp import Recipe, train_steps

CONFIG = GemmaConfig(
    vocab_size=61, hidden_size=24, intermediate_size=40, num_layers=2, num_heads=3,
    num_kv_heads=1, head_dim=8, max_length=32, init_std=0.2,
)
RECIPE = Recipe(model=CONFIG, steps=3, batch_size=12, length=9, learning_rate=0.5)
TOLERANCE = 1e-6


def batch(step, rows=12):
    generator = torch.Generator().manual_seed(step)
    tokens = torch.randint(61, (rows, 10), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


def backward(model, inputs, targets):
    logits = model(inputs)
    F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def fresh(seed=0):
    torch.manual_seed(seed)
    return build(CONFIG, device="cpu")


def difference(ours, theirs):
    assert ours.keys() == theirs.keys()
    return max((ours[name] - theirs[name]).abs().max().item() for name in ours)


def on_my_rows(rank, world):
    model = fresh()
    return model, backward(model, *shard_batch(batch, rank, world)(0))


def averaged(bucket_bytes):
    def run(rank, world):
        model, _ = on_my_rows(rank, world)
        reduced = average_gradients(model, bucket_bytes)
        return reduced, {name: weight.grad for name, weight in model.named_parameters()}
    return run


@pytest.mark.parametrize("bucket_bytes, world", [(1, 2), (3000, 2), (2**25, 2), (3000, 3)])
def test_gradients_equal_one_process(ranks, bucket_bytes, world):
    whole = backward(fresh(), *batch(0))
    size = sum(gradient.nbytes for gradient in whole.values())
    for reduced, gradients in ranks(averaged(bucket_bytes), world):
        assert difference(gradients, whole) < TOLERANCE and reduced == size


def test_without_averaging_they_differ(ranks):
    whole = backward(fresh(), *batch(0))
    for gradients in ranks(lambda rank, world: on_my_rows(rank, world)[1]):
        assert difference(gradients, whole) > 1000 * TOLERANCE


def test_equal_to_ddp(ranks):
    def both(rank, world):
        model = torch.nn.parallel.DistributedDataParallel(fresh())
        backward(model, *shard_batch(batch, rank, world)(0))
        theirs = {name: weight.grad for name, weight in model.module.named_parameters()}
        return difference(averaged(3000)(rank, world)[1], theirs)

    assert max(ranks(both)) < TOLERANCE


def test_losses_and_weights_over_steps_equal_one_process(ranks, monkeypatch):
    monkeypatch.setenv("MINIMODELS_DEVICE", "cpu")
    one, gradients = train_steps(RECIPE)
    for report, theirs in ranks(lambda rank, world: train_steps(RECIPE, rank, world)):
        assert report["losses"] == pytest.approx(one["losses"], abs=1e-5)
        assert report["gradient_norms"] == pytest.approx(one["gradient_norms"], rel=1e-5)
        assert difference(theirs, gradients) < TOLERANCE
        assert len(set(report["weights"])) == 1  # the ranks stayed equal, bit for bit
    assert one["losses"][0] != pytest.approx(one["losses"][-1], abs=1e-3)  # it moved


def test_forgetting_to_average_is_seen(ranks, monkeypatch):
    monkeypatch.setenv("MINIMODELS_DEVICE", "cpu")
    monkeypatch.setattr(script, "average_gradients", lambda model: 0)
    one, gradients = train_steps(RECIPE)
    for report, theirs in ranks(lambda rank, world: train_steps(RECIPE, rank, world)):
        assert difference(theirs, gradients) > 1000 * TOLERANCE
        assert report["losses"][1:] != pytest.approx(one["losses"][1:], abs=1e-5)
        assert len(set(report["weights"])) == 2


def test_ranks_with_unequal_numbers_of_learned_tokens(ranks, monkeypatch):
    """A token counts the same wherever it is: a mean of the ranks' means would not do."""
    monkeypatch.setenv("MINIMODELS_DEVICE", "cpu")

    def masked(recipe, vocab_size):
        def batches(step):
            inputs, targets = batch(step)
            targets = targets.clone()
            targets[:6, 2:] = -100  # nearly all of rank 0
            return inputs, targets
        return batches

    def mean_of_means(rank, world):
        model = fresh()
        backward(model, *shard_batch(masked(None, 0), rank, world)(0))
        average_gradients(model)
        return {name: weight.grad for name, weight in model.named_parameters()}

    monkeypatch.setattr(script, "token_batches", masked)
    one, gradients = train_steps(RECIPE)
    for report, theirs in ranks(lambda rank, world: train_steps(RECIPE, rank, world)):
        assert report["losses"] == pytest.approx(one["losses"], abs=1e-5)
        assert difference(theirs, gradients) < TOLERANCE
    for naive in ranks(mean_of_means):
        assert difference(naive, gradients) > 1000 * TOLERANCE


def test_a_packed_folder_is_read(tmp_path):
    class Tokenizer:
        bos_id, eos_id, vocab_size = 2, 1, 61
        encode = staticmethod(lambda text: [3 + ord(letter) % 50 for letter in text])

    row = {"id": "d-1", "facts": [], "kind": "prose", "lang": "en", "text": "some words " * 50}
    array = pack([row], Tokenizer, tmp_path / "packed")
    recipe = replace(RECIPE, data=str(tmp_path / "packed"))
    inputs, targets = script.token_batches(recipe, vocab_size=61)(0)
    assert inputs.shape == (12, 9) and torch.equal(inputs[:, 1:], targets[:, :-1])
    assert torch.equal(inputs, array.windows(9, 12, 0)(0)[0])
    with pytest.raises(UserError, match="tokenizer"):
        script.token_batches(recipe, vocab_size=60)


def test_same_weights_copies_rank_zero(ranks):
    def run(rank, world):
        model = fresh(seed=rank)
        before = model.embed_tokens.weight.detach().clone()
        same_weights(model)
        return before, model.embed_tokens.weight.detach()

    (before_0, after_0), (before_1, after_1) = ranks(run)
    assert not torch.equal(before_0, before_1)
    assert torch.equal(after_0, before_0) and torch.equal(after_1, before_0)


def test_a_weight_without_gradient_counts_as_zero(ranks):
    def run(rank, world):
        model = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
        for weight in model[rank].parameters():  # each rank used the other half only
            weight.grad = torch.ones_like(weight)
        average_gradients(model)
        return [weight.grad.unique().tolist() for weight in model.parameters()]

    assert ranks(run) == [[[0.5]] * 4] * 2


def test_buckets_keep_order_dtype_and_size():
    sizes = [(3, torch.float32), (2, torch.float32), (9, torch.float32), (1, torch.bfloat16),
             (1, torch.bfloat16), (1, torch.float32)]
    tensors = [torch.zeros(n, dtype=dtype) for n, dtype in sizes]
    packed = buckets(tensors, bucket_bytes=20)
    assert [[t.numel() for t in bucket] for bucket in packed] == [[3, 2], [9], [1, 1], [1]]
    assert [t for bucket in packed for t in bucket] == tensors
    assert buckets([], 20) == []


def test_shards_are_the_batch():
    inputs, targets = batch(5)
    parts = [shard_batch(batch, rank, 4)(5) for rank in range(4)]
    assert torch.equal(torch.cat([part[0] for part in parts]), inputs)
    assert torch.equal(torch.cat([part[1] for part in parts]), targets)


def test_rows_that_do_not_divide():
    with pytest.raises(UserError, match="multiple of 5"):
        shard_batch(batch, 0, 5)(0)
    assert not dist.is_initialized()
