"""Multiple choice: price every ending of an opening, and choose the likeliest by one of four rules.

    acc               ln p(ending | opening)
    acc_norm          … divided by the ending's characters
    acc_bytes         … divided by its bytes in UTF-8
    acc_mutual_info   … minus ln p(ending), what it costs after nothing

Names and rules are those of EleutherAI's lm-evaluation-harness (lm_eval/api/task.py);
tests/evaluation/test_harness.py holds ours equal to theirs. An item is anything with `prompt`,
`choices` and `answer`, as facts.Choice.
"""

from dataclasses import replace

from minimodels.architecture.score import completion_logprobs
from minimodels.errors import UserError

RULES = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")


def ending_logprobs(model, tokenizer, items) -> list[list[float]]:
    """ln p of each ending after <bos> and its item's prompt: a row an item, a number a choice."""
    prompts, endings = [], []
    for item in items:
        start = [tokenizer.bos_id, *tokenizer.encode(item.prompt)]
        prompts += [start] * len(item.choices)
        endings += [tokenizer.encode(choice) for choice in item.choices]
    scores = iter(completion_logprobs(model, tokenizer, prompts, endings))
    return [[next(scores) for _ in item.choices] for item in items]


def values(model, tokenizer, items, rule="acc") -> list[list[float]]:
    """What `rule` compares: a row an item, a number a choice. UserError for an unknown rule."""
    if rule not in RULES:
        raise UserError(f"there is no rule called {rule}: choose one of {', '.join(RULES)}.")
    rows = ending_logprobs(model, tokenizer, items)
    if rule == "acc_mutual_info":
        bare = ending_logprobs(model, tokenizer, [replace(item, prompt="") for item in items])
        return [[full - less for full, less in zip(row, start, strict=True)]
                for row, start in zip(rows, bare, strict=True)]
    size = {"acc": lambda text: 1, "acc_norm": len, "acc_bytes": lambda text: len(text.encode())}
    return [[value / size[rule](text) for value, text in zip(row, item.choices, strict=True)]
            for row, item in zip(rows, items, strict=True)]


def chosen(model, tokenizer, items, rule="acc") -> list[int]:
    """The index of the ending that `rule` prefers in each item; the first, where two are equal."""
    return [row.index(max(row)) for row in values(model, tokenizer, items, rule)]


def few_shot(item, examples, between="\n\n"):
    """The item with solved `examples` in front of its prompt, as the harness joins them."""
    solved = [f"{example.prompt} {example.choices[example.answer]}" for example in examples]
    return replace(item, prompt=between.join([*solved, item.prompt]))
