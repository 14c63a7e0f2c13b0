"""A tokenizer of one byte a token, so that these tests need no trained one."""


class Bytes:
    """Ids 0 to 3 as in Gemma, 4 is <end_of_turn>, 5 + b is byte b."""

    pad_id, eos_id, bos_id, unk_id, vocab_size = 0, 1, 2, 3, 261
    control = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<end_of_turn>": 4}

    def encode(self, text):
        return [5 + byte for byte in text.encode()]

    def decode(self, ids):
        return bytes(i - 5 for i in ids if i >= 5).decode(errors="replace")


class Scripted:
    """Stands in for a model that always says `script`, whatever was asked."""

    def __init__(self, config, script):
        import torch

        self.config, self.script, self.device, self.dtype = config, list(script), "cpu", torch.float
        self.fed = []

    def hidden(self, tokens, cache, mask=None):
        self.fed.append(tokens.shape[1])
        cache.length += tokens.shape[1]
        return tokens[..., None]

    def logits(self, hidden):
        import torch

        said = torch.tensor([self.script.pop(0)] * len(hidden))
        return torch.nn.functional.one_hot(said, Bytes.vocab_size).float()
