"""Our multiple-choice scores equal those of EleutherAI's lm-evaluation-harness, item by item.

Two ways. The harness with our log-probabilities: its prompts, examples, tokens at the seam, rules.
And the harness's own HFLM around the model class of Transformers, with our saved weights: then
nothing of ours is in the sums but the SentencePiece file.
"""

import pytest
import torch

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

from minimodels.architecture.checkpoint import load, save  # noqa: E402
from minimodels.data.world import World  # noqa: E402
from minimodels.errors import UserError  # noqa: E402
from minimodels.evaluation import choice, harness  # noqa: E402
from minimodels.evaluation import facts as knowledge  # noqa: E402


@pytest.fixture(scope="module")
def parts():
    model, tokenizer = load("gemma-mini", device="cpu")
    world = World(1, 100)
    every = knowledge.choice_items(world, list(world.facts.values()), seed=1)
    return model, tokenizer, every[:60], every[-3:]


def sums(samples, choices=4):
    """The harness's ln p of each ending, from its record of what it asked."""
    rows = sorted(samples, key=lambda sample: sample["doc_id"])
    return [[float(total) for total, _ in row["filtered_resps"][:choices]] for row in rows]


@pytest.mark.parametrize("shots", [0, 3])
def test_each_rule_prefers_what_the_harness_prefers(parts, shots):
    model, tokenizer, items, examples = parts
    task = harness.ItemsTask(items, shots, examples)
    report = harness.evaluate(harness.HarnessModel(model, tokenizer), task)
    ours = [choice.few_shot(item, examples[:shots]) for item in items]
    theirs = torch.tensor(sums(report["samples"]["items"]))
    assert torch.allclose(torch.tensor(choice.ending_logprobs(model, tokenizer, ours)), theirs,
                          atol=1e-3)
    for rule in choice.RULES:
        hits = [float(got == item.answer) for got, item in
                zip(choice.chosen(model, tokenizer, ours, rule), items, strict=True)]
        rows = sorted(report["samples"]["items"], key=lambda sample: sample["doc_id"])
        assert hits == [row[rule] for row in rows], rule
        assert report["results"]["items"][f"{rule},none"] == pytest.approx(sum(hits) / len(hits))


def test_the_rules_differ_on_these_items(parts):
    """Otherwise equality would show nothing: the plain sum is not the sum a character."""
    model, tokenizer, items, _ = parts
    by_rule = {rule: tuple(choice.chosen(model, tokenizer, items, rule)) for rule in choice.RULES}
    assert len({by_rule["acc"], by_rule["acc_norm"], by_rule["acc_mutual_info"]}) == 3


def transformers_harness(model, tokenizer, folder):
    """lm-eval's HFLM around Transformers' Gemma with our weights and our pieces."""
    import transformers
    from lm_eval.models.huggingface import HFLM

    class Pieces(transformers.PreTrainedTokenizer):
        """Transformers' interface to a SentencePiece file: its own reader needs protobuf."""

        def get_vocab(self):
            return {tokenizer.piece(i): i for i in range(tokenizer.vocab_size)}

        @property
        def vocab_size(self):
            return tokenizer.vocab_size

        def _tokenize(self, text, **_):
            return tokenizer.pieces(text)

        def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
            return [tokenizer.bos_id, *token_ids_0]

        def _convert_token_to_id(self, token):
            return tokenizer.id(token)

        def _convert_id_to_token(self, index):
            return tokenizer.piece(index)

    save(model, tokenizer, folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    assert not type(theirs).__module__.startswith("minimodels")
    pieces = Pieces(bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    return HFLM(pretrained=theirs, tokenizer=pieces, device="cpu", batch_size=16,
                add_bos_token=True)


@pytest.mark.parametrize("shots", [0, 2])
def test_ours_equals_the_harness_on_transformers(parts, shots, tmp_path):
    model, tokenizer, items, examples = parts
    items = items[:24]
    theirs = transformers_harness(model, tokenizer, tmp_path / "checkpoint")
    report = harness.evaluate(theirs, harness.ItemsTask(items, shots, examples))
    ours = [choice.few_shot(item, examples[:shots]) for item in items]
    assert torch.allclose(torch.tensor(choice.ending_logprobs(model, tokenizer, ours)),
                          torch.tensor(sums(report["samples"]["items"])), atol=1e-3)
    for rule in ("acc", "acc_norm", "acc_bytes"):
        right = [got == item.answer for got, item in
                 zip(choice.chosen(model, tokenizer, ours, rule), items, strict=True)]
        assert report["results"]["items"][f"{rule},none"] == pytest.approx(sum(right) / len(right))


def test_other_tasks_are_refused_with_a_sentence(parts):
    model = harness.HarnessModel(*parts[:2])
    for ask in (model.generate_until, model.loglikelihood_rolling):
        with pytest.raises(UserError, match="multiple choice"):
            ask([])
