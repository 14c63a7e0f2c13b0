"""Conversations as tokens, in Gemma's turn format, and the model's words back as a message.

    <bos><start_of_turn>user
    Where does Mira live?<end_of_turn>
    <start_of_turn>model
    Bergen<end_of_turn>

Messages have OpenAI's shape: {"role": "user" | "assistant" | "tool" | "system", "content": text};
the assistant's may carry "tool_calls". Gemma has no system turn: the text opens the first user
turn. A tool call is one line of JSON.
"""

import json

from minimodels.errors import UserError

TURN_NAMES = {"user": "user", "assistant": "model", "tool": "tool"}


def render(messages: list[dict], tokenizer) -> tuple[list[int], list[bool]]:
    """Token ids of a conversation, and for each id whether the assistant is to learn it.

    Learned are the assistant's words and the <end_of_turn> after them, nothing else. Every content
    is encoded by itself: an answer has the same tokens as the same words in a document, and text
    cannot forge a control token. Raises UserError for messages of another shape.
    """
    start, end = tokenizer.id("<start_of_turn>"), tokenizer.id("<end_of_turn>")
    newline = tokenizer.encode("\n")[-1:]
    ids, learned = [tokenizer.bos_id], [False]
    for role, parts in _turns(messages):
        opening = [start, *tokenizer.encode(TURN_NAMES[role] + "\n")]
        content = _encode(parts[0], tokenizer)
        for part in parts[1:]:  # only a system text and the user's words under it
            content += newline * 2 + _encode(part, tokenizer)
        ids += opening + content + [end] + newline
        assistant = role == "assistant"
        learned += [False] * len(opening) + [assistant] * (len(content) + 1) + [False]
    return ids, learned


def prompt(messages: list[dict], tokenizer) -> list[int]:
    """Token ids up to the place where the assistant speaks: they end with `<start_of_turn>model`.

    Raises UserError for messages of another shape, or if the assistant has spoken last.
    """
    ids, _ = render(messages, tokenizer)
    if messages[-1]["role"] == "assistant":
        raise UserError("the last message is the assistant's: add a user's or a tool's message.")
    return [*ids, tokenizer.id("<start_of_turn>"), *tokenizer.encode("model\n")]


def parse(text: str) -> dict:
    """The assistant's message in what a model wrote; every text gives one, also broken JSON.

    Lines that are tool calls go to "tool_calls" (absent if there are none), the rest is "content"
    (None if nothing else was said).
    """
    words, calls = [], []
    for line in text.strip().split("\n"):
        call = _parse_call(line)
        if call is None:
            words.append(line)
        else:
            calls.append(call)
    content = "\n".join(words).strip()
    if not calls:
        return {"role": "assistant", "content": content}
    return {"role": "assistant", "content": content or None, "tool_calls": calls}


def _encode(text: str, tokenizer) -> list[int]:
    ids = tokenizer.encode(text)
    marks = {tokenizer.id("<start_of_turn>"), tokenizer.id("<end_of_turn>")}
    marks |= {tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id}
    if marks.isdisjoint(ids):
        return ids
    # some published vocabularies hold the marks as ordinary pieces: spell such a text by letters
    return [i for letter in text for i in tokenizer.encode(letter)]


def _turns(messages) -> list[tuple[str, list[str]]]:
    """Check messages; return (role, texts of its content) of each turn."""
    if not isinstance(messages, list) or not messages:
        raise UserError("a conversation is a list of messages with at least one: give a list.")
    turns = [(role, [text]) for role, text in map(_checked, messages, range(len(messages)))]
    if turns[0][0] == "system":
        (_, system), *turns = turns
        turns[:1] = [(role, system + parts) for role, parts in turns[:1]]
    if not turns or turns[0][0] != "user":
        raise UserError("the conversation has no user to open it: let the first turn be a user's.")
    return turns


def _checked(message, number: int) -> tuple[str, str]:
    """Role and text of one message; its tool calls are lines of the text."""
    where = f"message {number}"
    if not isinstance(message, dict) or message.get("role") not in (*TURN_NAMES, "system"):
        raise UserError(f'{where} has no known "role": use system, user, assistant or tool.')
    role, content, calls = message["role"], message.get("content"), message.get("tool_calls")
    if role == "system" and number > 0:
        raise UserError(f"{where} is a system message: only the first message may be one.")
    if calls and role != "assistant":
        raise UserError(f"{where} calls a tool as {role}: only the assistant may.")
    if not isinstance(content, str) and not (content is None and calls):
        raise UserError(f'{where} has no "content": give it as one text.')
    if not calls:
        return role, content
    if not isinstance(calls, list):
        raise UserError(f'{where} has "tool_calls" of another shape: give a list.')
    lines = [_render_call(call, where) for call in calls]
    return role, "\n".join([content, *lines] if content else lines)


def _render_call(call, where) -> str:
    """{"name": …, "arguments": {…}} on one line.

    Texts in the arguments begin with a space, so that a name has the tokens that it has everywhere
    else in running text; `parse` takes it off again.
    """
    try:
        function = call["function"]
        arguments = json.loads(function["arguments"])
        spaced = {k: f" {v}" if isinstance(v, str) else v for k, v in arguments.items()}
        name = function["name"] + ""
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(
            f'{where} has a tool call of another shape: give {{"function": {{"name": text, '
            '"arguments": text of a JSON object}}.'
        ) from None
    return json.dumps({"name": name, "arguments": spaced}, ensure_ascii=False)


def _parse_call(line: str) -> dict | None:
    try:
        call = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    arguments = call.get("arguments")
    if not isinstance(arguments, dict):
        return None
    plain = {k: v.removeprefix(" ") if isinstance(v, str) else v for k, v in arguments.items()}
    function = {"name": call["name"], "arguments": json.dumps(plain, ensure_ascii=False)}
    return {"type": "function", "function": function}
