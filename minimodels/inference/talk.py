"""`minimodels chat`: one question, or a conversation, with a chat model in the terminal."""

from collections.abc import Iterator

from minimodels.errors import UserError
from minimodels.finetuning.chat import prompt as tokens_of

ROOM = 64  # tokens kept free for the answer


def talk(name: str, question: str = "", temperature: float = 0.0, seed: int = 0) -> None:
    """Print the answer to one question, or read questions until an empty line.

    `name` is a shipped model or a folder. Raises UserError for an unknown one or one without a
    tokenizer, or for a question longer than the context.
    """
    import minimodels

    model, tokenizer = minimodels.load(name)
    if tokenizer is None:
        raise UserError(f"{name} has no tokenizer.model: put the model's own into its folder.")
    messages: list[dict] = []
    for words in [question] if question else _typed():
        messages.append({"role": "user", "content": words})
        ids = fit(messages, tokenizer, model.config.max_length)
        said = ""
        for piece in minimodels.generate(model, tokenizer, ids, temperature=temperature, seed=seed):
            print(piece, end="", flush=True)
            said += piece
        print()
        messages.append({"role": "assistant", "content": said})


def fit(messages: list[dict], tokenizer, length: int) -> list[int]:
    """Token ids of a conversation; the oldest question and answer are forgotten until it fits."""
    ids = tokens_of(messages, tokenizer)
    while len(ids) + ROOM > length and len(messages) > 1:
        del messages[:2]
        ids = tokens_of(messages, tokenizer)
    return ids


def _typed() -> Iterator[str]:
    """What a person types, line by line, until an empty line or the end of the input."""
    while True:
        try:
            line = input("you: ").strip()
        except EOFError:
            print()
            return
        if not line:
            return
        yield line
