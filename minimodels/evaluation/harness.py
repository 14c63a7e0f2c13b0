"""EleutherAI's lm-evaluation-harness on our models: its tasks, and our items as one of them.

    task = ItemsTask(items, shots=2, examples=examples)
    results = evaluate(HarnessModel(model, tokenizer), task)["results"]["items"]

The harness writes the prompts, cuts the tokens and counts; only log-probabilities come from us.
Needs lm-eval, which stands in the extra `test`.
"""

import logging
from contextlib import redirect_stderr
from io import StringIO

from minimodels.architecture.score import completion_logprobs
from minimodels.errors import UserError

try:
    with redirect_stderr(StringIO()):  # what the hub's client says while it is imported
        from datasets import Dataset
        from lm_eval import evaluator
        from lm_eval.api.model import TemplateLM
        from lm_eval.api.task import ConfigurableTask
except ImportError:
    raise UserError("the harness is not installed: pip install lm-eval.") from None


class HarnessModel(TemplateLM):
    """Our model as lm-eval asks for one, for tasks of likelihood (multiple choice)."""

    def __init__(self, model, tokenizer):
        super().__init__()
        self.model, self.tokenizer = model, tokenizer

    @property
    def eot_token_id(self):
        """What stands before an empty context: <bos>."""
        return self.tokenizer.bos_id

    def tok_encode(self, string, add_special_tokens=None, **_):
        """Ids of a text behind <bos>; of an ending that follows nothing (False), its ids alone.

        The harness puts a space in front of an ending. Our tokenizer puts one there itself.
        """
        if add_special_tokens is False:
            return self.tokenizer.encode(string.removeprefix(" "))
        return [self.tokenizer.bos_id, *self.tokenizer.encode(string)]

    def _loglikelihood_tokens(self, requests, **_):
        _, contexts, endings = zip(*requests, strict=True)
        sums = completion_logprobs(self.model, self.tokenizer, contexts, endings)
        return [(total, False) for total in sums]  # False: not asked whether greedy

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise UserError("this model is for multiple choice: score.perplexity prices whole texts.")

    def generate_until(self, requests, disable_tqdm=False):
        raise UserError("this model is for multiple choice: minimodels.generate writes text.")


class ItemsTask(ConfigurableTask):
    """Our items (`prompt`, `choices`, `answer`) as a task called "items".

    With `shots` > 0 the harness puts that many solved examples before each: the first ones of
    `examples`, which must not be among the items.
    """

    def __init__(self, items, shots=0, examples=()):
        logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of what is meant here
        rows = {"test": _rows(items), "examples": _rows(examples)}
        super().__init__(config={
            "task": "items", "custom_dataset": lambda **_: rows, "test_split": "test",
            "output_type": "multiple_choice", "num_fewshot": shots,
            "fewshot_split": "examples" if shots else None,
            "fewshot_config": {"sampler": "first_n"},
            "doc_to_text": "prompt", "doc_to_choice": "choices", "doc_to_target": "answer",
            "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True}
                            for metric in ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")],
        })


def evaluate(model, task):
    """lm-eval's own report: {"results": {"items": {"acc,none": …}}, "samples": {"items": …}}."""
    with redirect_stderr(StringIO()):  # progress bars
        return evaluator.evaluate(lm=model, task_dict={"items": task}, bootstrap_iters=0)


def _rows(items):
    return Dataset.from_list([
        {"prompt": item.prompt, "choices": list(item.choices), "answer": item.answer}
        for item in items])
