"""Two formats of public instruction data, as chat messages of OpenAI's shape.

Alpaca (github.com/tatsu-lab/stanford_alpaca): {"instruction", "input", "output"}, one exchange.
ShareGPT: {"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}, …]}.
"""

from minimodels.errors import UserError

SPEAKERS = {"system": "system", "human": "user", "user": "user", "gpt": "assistant",
            "assistant": "assistant"}


def from_alpaca(row: dict) -> list[dict]:
    """Messages of one Alpaca row; an input stands under its instruction, after an empty line.

    Raises UserError for a row of another shape.
    """
    try:
        asked = [row["instruction"], row.get("input") or ""]
        question, answer = "\n\n".join(filter(None, asked)), row["output"] + ""
    except (KeyError, TypeError, AttributeError):
        raise UserError(
            'this is no Alpaca row: it needs the texts "instruction" and "output".'
        ) from None
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def from_sharegpt(row: dict) -> list[dict]:
    """Messages of one ShareGPT row. Raises UserError for another shape or an unknown speaker."""
    try:
        return [{"role": SPEAKERS[turn["from"]], "content": turn["value"]}
                for turn in row["conversations"]]
    except (KeyError, TypeError):
        raise UserError(
            'this is no ShareGPT row: it needs "conversations", each with "from" (one of '
            f'{", ".join(SPEAKERS)}) and "value".'
        ) from None
