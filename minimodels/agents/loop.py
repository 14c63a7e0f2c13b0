"""The loop that makes a model an agent: think, call a tool, read the result, until it answers.

    model's turn ── no tool call ──▶ done
         │ tool call                  ▲
         ▼                            │
    tool's turn ──────────────────────┘  at most `max_steps` times

A tool may be `final`: its result is passed on as the answer, word for word. A sum or a phone number
has nothing to gain from being written again by a model that could slip.
"""

from minimodels.agents.tools import use
from minimodels.architecture.generate import generate_batch
from minimodels.finetuning.chat import parse, prompt


def run(model, tokenizer, messages, tools, max_steps=3):
    """Continue one conversation until the model answers; returns all its messages."""
    return run_many(model, tokenizer, [messages], tools, max_steps)[0]


def run_many(model, tokenizer, conversations, tools, max_steps=3, max_new_tokens=64):
    """`run` for many conversations at once: those that wait for the model share a batch."""
    conversations = [list(messages) for messages in conversations]
    stops = [tokenizer.id("<end_of_turn>"), tokenizer.eos_id]
    waiting = range(len(conversations))
    for _ in range(max_steps):
        prompts = [prompt(conversations[i], tokenizer) for i in waiting]
        replies = generate_batch(model, tokenizer, prompts, max_new_tokens, stops)
        called = []
        for i, reply in zip(waiting, replies, strict=True):
            message = parse(tokenizer.decode(reply))
            conversations[i].append(message)
            if message.get("tool_calls"):
                results = [use(tools, tool_call) for tool_call in message["tool_calls"]]
                conversations[i] += [{"role": "tool", "content": result} for result in results]
                if passed_on(tools, message["tool_calls"], results):
                    conversations[i].append({"role": "assistant", "content": results[-1]})
                else:
                    called.append(i)
        waiting = called
        if not waiting:
            break
    return conversations


def passed_on(tools, tool_calls, results):
    """Is the last result the answer? If its tool is final and did not complain."""
    final = {tool.name for tool in tools if tool.final}
    return tool_calls[-1]["function"]["name"] in final and not results[-1].startswith("error: ")


def answer(messages):
    """The text of the last turn if it is the model's, else "" (it ran out of steps)."""
    last = messages[-1]
    return (last.get("content") or "").strip() if last["role"] == "assistant" else ""


def calls(messages):
    """The names of the tools called, in order."""
    tool_calls = [each for message in messages for each in message.get("tool_calls") or []]
    return [tool_call["function"]["name"] for tool_call in tool_calls]
