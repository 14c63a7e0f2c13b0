"""Private checks of the lab "train a tokenizer": never released.

Words are drawn from few letters, so that ties, repeated letters and overlaps occur on any seed.
Ranks come from training: pieces that are joined one at a time or all at once are then the same.
"""

from minimodels.classroom.lab import Alternative, Check, Mutant

FORBIDDEN = [
    "sentencepiece",
    "tokenizers",
    "transformers",
    "tiktoken",
    "minimodels.data.tokenizer",
    "peft",
    "nltk",
    "gensim",
    "gguf",
    "sacrebleu",
]
SECONDS = 5


def word(rng, letters="abn", least=1, most=6):
    return "".join(rng.choice(list(letters), size=int(rng.integers(least, most + 1))))


def learned(words, size):
    """The pieces that training learns: they make ranks as a trained tokenizer has them."""
    symbols = {tuple(word): times for word, times in words.items()}
    pieces = []
    for _ in range(size):
        counts = {}
        for parts, times in symbols.items():
            for pair in zip(parts, parts[1:], strict=False):
                counts[pair] = counts.get(pair, 0) + times
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], len("".join(pair)), "".join(pair)))
        pieces.append("".join(best))
        symbols = {joined(parts, best): times for parts, times in symbols.items()}
    return pieces


def joined(parts, pair):
    out, i = [], 0
    while i < len(parts):
        length = 2 if parts[i : i + 2] == pair else 1
        out.append("".join(parts[i : i + length]))
        i += length
    return tuple(out)


# 1. Words


def plain_texts(rng):
    lines = [" ".join(word(rng, "abcÄé汉.,_-") for _ in range(n)) for n in (2, 3, 5)]
    return {"texts": ["", "a", "Mira is", "it's here, isn't it?", *lines]}


def texts_with_digits(rng):
    number = str(int(rng.integers(1000, 10_000)))
    return {"texts": ["7", "\n", f"{number}", f"in {number} or a{number}b", "a\nb", "a\n\n b\n",
                      "Mira is 27.\n", "3\n4", "5 6,7", "0 1 2 3 4 5 6 7 8 9",
                      f"m² and ③ and ٣{number}"]}  # fmt: skip


def texts_with_runs(rng):
    gap = " " * int(rng.integers(2, 6))
    drawn = [gap + "a", "a" + gap, f"a{gap}b c", f"{gap}7{gap}x", f"if a:\n{gap}b\n{gap}\n"]
    others = ["a\tb", "a \t b\r\n", "\u00a0a\u3000b"]  # no spaces: tabs, wide and hard ones
    return {"texts": [" ", "  ", " a", "a ", " 5 6", *others, *drawn]}


def split(namespace, inputs):
    return {repr(text): namespace["split_words"](text) for text in inputs["texts"]}


# 2. Pairs


def counted_words(rng):
    drawn = [rng.permutation(list("abcdefgh"))[: int(rng.integers(2, 6))] for _ in range(4)]
    words = [[["▁", *map(str, letters)], int(rng.integers(2, 600))] for letters in drawn]
    return {"cases": [[[list("ab"), 500]], words]}


def odd_words(rng):
    runs = [[list("n" * n), int(rng.integers(2, 9))] for n in (1, 2, 3, 4, 7)]
    long = [[["▁b", "an", "an", "a"], 3], [["▁", "ban", "a"], 4], [["▁b", "a", "nan", "a"], 5]]
    some = [[list(text), int(rng.integers(1, 9))] for text in {word(rng) for _ in range(6)}]
    return {"cases": [[], [[["a"], 5]], [[["▁and"], 5], [list("ab"), 1]], runs, long, some]}


def count(namespace, inputs):
    results = []
    for case in inputs["cases"]:
        counts = namespace["count_pairs"]({tuple(symbols): times for symbols, times in case})
        results.append({f"{left} + {right}": times for (left, right), times in counts.items()})
    return results


def clear_counts(rng):
    counts = [["a", "n", 40], ["▁", "panda", 41], ["t", "h", 39], ["x", "y", 1]]
    cases = [[["b", "a", 1]], [["a", "b", 2], ["c", "d", 10]], [["e", "f", 100], ["g", "h", 99]]]
    return {"cases": [*cases, [counts[i] for i in rng.permutation(4)]]}


def tied_counts(rng):
    cases = [
        [["▁p", "an", 7], ["▁", "and", 7], ["z", "z", 7], ["a", "a", 6]],  # shorter piece
        [["▁", "an", 3], ["an", "d", 3], ["an", "t", 3], ["z", "z", 2]],  # alphabet: and
        [["b", "a", 5], ["a", "z", 5], ["B", "c", 5]],  # B stands before a and b
        [["ab", "c", 4], ["a", "d", 4], ["a", "é", 4], ["汉", "字", 4]],
        [["abc", "d", 4], ["c", "cc", 4]],  # length counts before the alphabet
        [["ab", "b", 2], ["a", "bab", 2], ["b", "ab", 2], ["bb", "a", 2]],
        [["a", "zz", 9], ["ab", "c", 9], ["b", "b", 8]],  # the piece's order, not the pair's
        [["b", "aa", 6], ["bb", "b", 6], ["ba", "b", 6]],
    ]
    return {"cases": [[case[i] for i in rng.permutation(len(case))] for case in cases * 2]}


def best(namespace, inputs):
    results = []
    for case in inputs["cases"]:
        pair = namespace["best_pair"]({(left, right): times for left, right, times in case})
        results.append(list(pair) if isinstance(pair, tuple) else pair)
    return results


# 3. Learning


def plain_merges(rng):
    text = word(rng, "bcd", 3, 5)
    cases = [[list("▁pan"), "an"], [list("▁and"), "an"], [["▁p", "an", "d"], ["▁p", "an"]],
             [["▁p", "an", "d", "an"], ["d", "an"]], [list(f"x{text}y{text}xy"), "xy"]]  # fmt: skip
    return {"cases": cases}


def odd_merges(rng):
    runs = [[["a"] * n, ["a", "a"]] for n in range(8)]
    others = [["▁", "ab"], ["ab", "▁"], [["a", "bc"], ["ab", "c"]], [["ab", "c"], ["a", "bc"]],
              ["ababab", "ab"], ["bababa", "ab"], ["aab", "ab"], ["abb", "ab"], ["ba", "ab"],
              [["ba", "n"], ["a", "n"]], [["a", "nd"], ["a", "n"]],
              [["an", "an", "an"], ["an", "an"]], [["a", "a", "aa", "a"], ["a", "aa"]]]  # fmt: skip
    drawn = [[word(rng, "ab", 5, 9), pair] for pair in ("aa", "ab", "ba", "bb")]
    return {"cases": [[list(symbols), list(pair)] for symbols, pair in runs + others + drawn]}


def merged(namespace, inputs):
    results = []
    for symbols, pair in inputs["cases"]:
        result = namespace["merge"](tuple(symbols), tuple(pair))
        results.append(list(result) if isinstance(result, tuple) else result)
    return results


def first_pieces(rng):
    words = {"▁pan": 50, "▁panda": 20, "▁and": 30, "▁" + word(rng, "qrs", 3, 3): 7}
    return {"words": words, "sizes": [1, 2, 4, 5]}


def tied_words(rng):
    words = {"▁" + word(rng, "abn", 2, 7): int(rng.integers(1, 4)) for _ in range(12)}
    return {"words": {**words, "nnnn": 2, "aaaaa": 2}, "sizes": [0, 3, 8, 14]}


def few_words(rng):
    return {"words": {"▁ab": int(rng.integers(2, 9)), "▁a": 1, "b": 1, "▁": 3}, "sizes": [2, 9, 0]}


def trained(namespace, inputs):
    words = dict(inputs["words"])
    pieces = {f"size {size}": namespace["train"](words, size) for size in inputs["sizes"]}
    return {**pieces, "words afterwards": dict(words)}


# 4. Encoding


def clear_words(rng):
    pieces = ["an", "▁p", "▁pan", "and", "▁and", "da", "▁panda"]
    tail = word(rng, "xyz", 2, 4)
    words = ["▁pan", "▁panda", "▁and", "panda", "dada", "▁land", "▁andan", "▁p" + tail, tail]
    return {"pieces": pieces, "words": words}


def drawn_words(rng):
    text = {"▁" + word(rng, "abn", 2, 7): int(rng.integers(1, 9)) for _ in range(20)}
    words = ["▁" + word(rng, "abn", 1, 9) for _ in range(25)] + ["▁" + "an" * 5, "▁" + "na" * 5]
    return {"pieces": learned(text, 14), "words": [*words, "bc", "abcd", "ab", "abc", "cab"]}


def edge_words(rng):
    pieces = learned({"aaaa": 3, "bc": 9, "ab": 4, "cd": 2}, 5)  # aa, bc, ab, aaaa, cd
    words = ["", "a", "é", "ab", "ba", "abc", "abcd", "aab", "aaab", "a" * int(rng.integers(5, 12))]
    return {"pieces": pieces, "words": [*words, "汉字", "bcé", "ébc", "a" * 3, "cdcd"]}


def encoded_words(namespace, inputs):
    ranks = {piece: rank for rank, piece in enumerate(inputs["pieces"])}
    return {repr(word): namespace["encode_word"](word, dict(ranks)) for word in inputs["words"]}


# 5. The tokenizer: `first` pieces, the bytes, the learned pieces, characters


def vocabulary(rng, characters, newline=True):
    few = {"▁pan": 5, "▁panda": 2, "▁and": 3, "▁a": 2, "▁▁": 1}
    first = ["<pad>", "<eos>", "<bos>", "<unk>", "user"][: int(rng.integers(2, 6))]
    return {"first": first + ["\n"] * newline, "learned": learned(few, 9),
            "characters": characters}  # fmt: skip


def known_texts(rng):
    texts = [" ".join(word(rng, "pand", 2, 6) for _ in range(n)) for n in (1, 3, 6)]
    texts += ["", "pan", "panda and pan.", "a 12 and.\n\npan\n", "  a  and "]
    return {**vocabulary(rng, list("▁pand0123.")), "ids": [], "texts": texts}


def unknown_texts(rng):
    letter = chr(int(rng.integers(0x1F600, 0x1F640)))
    return {**vocabulary(rng, list("▁pand"), newline=False), "ids": [],
            "texts": ["é", "5 €", f"pan{letter} and {letter}{letter}", "汉字\npän.", "<0x41> and",
                      "\x00\x7f\x80\xff", "a\ud7ff\uffff"]}  # fmt: skip


def rows_of_ids(rng):
    """Numbers of pieces: those of the bytes below 256, then those of the learned, characters."""
    euro, otter = list("€".encode()), list("🦦".encode())
    text = word(rng, "éñß漢字🦦", 3, 6).encode()
    rows = [[], euro, otter + otter, list(text), [65], [256], [256, 257, 258], [259, *euro, 260],
            [260, 259, *otter, 259], [*b"a b", 259], [260] * 3, [264, 264, 256]]  # fmt: skip
    return {**vocabulary(rng, list("▁pand")), "texts": [], "ids": rows}


def broken_ids(rng):
    cut = list("€".encode())[: int(rng.integers(1, 3))]
    rows = [cut, [*cut, 256], [256, *cut, 259], [0x80], [0xFF, 0xFE], [*cut, *cut], [0xC3, 65],
            [257, 0xAC, 257], [0xF0, 0x9F, 0xA6]]  # fmt: skip
    back = ["", " ", "\n", "  and\n pan ", "<0x41>", "5 €, 3 汉", "🦦\n\n", "<0xE2><0x82>",
            word(rng, "an 7é\n", 5, 12)]  # fmt: skip
    return {**vocabulary(rng, list("▁pand<0x4128E>")), "texts": back, "ids": rows}


def made(namespace, inputs):
    pieces = inputs["first"] + [f"<0x{byte:02X}>" for byte in range(256)]
    start = len(inputs["first"])
    pieces = pieces + inputs["learned"] + inputs["characters"]
    ranks = {piece: rank for rank, piece in enumerate(inputs["learned"])}
    tokenizer = namespace["Tokenizer"](pieces, ranks)
    results = {}
    for text in inputs["texts"]:
        ids = list(tokenizer.encode(text))
        results[f"encode({text!r})"] = ids
        if inputs["ids"]:  # a check of decoding: what comes back
            results[f"encode({text!r}) and back"] = tokenizer.decode(ids)
    for row in inputs["ids"]:
        ids = [start + number for number in row]
        results[f"decode({[pieces[i] for i in ids]})"] = tokenizer.decode(ids)
    return results


CHECKS = [
    Check("words", split, plain_texts, 1, why="a word begins at each mark",
          message="Where does the first word get its mark? And the empty text has no words."),
    Check("words", split, texts_with_digits, 1, why="newlines and the ten digits stand alone",
          message="Look at what follows a digit or a newline, and at what counts as a digit."),
    Check("words", split, texts_with_runs, 1, why="a run of marks stays together",
          message="Only a space becomes a mark, and a mark after a mark begins no word."),
    Check("pairs", count, counted_words, 1, why="a word seen 500 times counts 500 times",
          message="Do it by hand for one word of two symbols that was seen 500 times."),
    Check("pairs", count, odd_words, 1, why="every place counts, in words of any length",
          message="How many pairs has a word of one symbol, of three? How often is n + n in nnn?"),
    Check("pairs", best, clear_counts, 1, why="the most frequent pair is the best",
          message="Compare the counts as numbers, and return the pair itself, a tuple."),
    Check("pairs", best, tied_counts, 1, why="ties go to the shorter piece, then by the alphabet",
          message="Print your order for two tied pairs: which comes first, length or alphabet?"),
    Check("learn", merged, plain_merges, 1, why="a pair is joined wherever it stands",
          message="Both symbols must match. What happens to the ones after the pair?"),
    Check("learn", merged, odd_merges, 1, why="from left to right, each symbol used once",
          message="Go through a, a, a, a, a by hand, and through words of no symbol and of one."),
    Check("learn", trained, first_pieces, 1, why="each step learns the best pair of what is left",
          message="Print the pairs of your first two steps. Are the words joined in between?"),
    Check("learn", trained, tied_words, 1, why="exactly `size` pieces, in order, ties included",
          message="Print your pieces for sizes 0 and 1. Do count_pairs, best_pair and merge pass?"),
    Check("learn", trained, few_words, 1, why="training ends when no pair is left",
          message="When every word is one symbol, what does count_pairs return?"),
    Check("apply", encoded_words, clear_words, 1, why="pieces are joined until none fits",
          message="After one join there are new neighbors. When are you done?"),
    Check("apply", encoded_words, drawn_words, 2, why="the lowest rank first, then the leftmost",
          message="Print the ranks of all neighbors before each join: did you take the lowest?"),
    Check("apply", encoded_words, edge_words, 1, why="words of any length, and rank 0",
          message="Try the empty word, one letter, and the piece whose rank is 0."),
    Check("tokenizer", made, known_texts, 1, why="ids of the pieces, word by word",
          message="Which of your functions makes words, which pieces, which table has ids?"),
    Check("tokenizer", made, unknown_texts, 1, why="an unknown character becomes its bytes",
          message="How many bytes has the character in UTF-8, and where do their pieces stand?"),
    Check("tokenizer", made, rows_of_ids, 1, why="pieces and bytes give the text back",
          message="Which characters need several bytes? And which space did encode put in front?"),
    Check("tokenizer", made, broken_ids, 1, why="any ids have a text, any text comes back",
          message="Bytes that are no UTF-8 become U+FFFD. Does a text that only looks like a byte "
                  "piece survive?"),
]  # fmt: skip

RECOUNT = """\
        counts = count_pairs(split)
        if not counts:
            break
        pair = best_pair(counts)
        pieces.append("".join(pair))
        split = {merge(symbols, pair): times for symbols, times in split.items()}
"""
MERGE = """\
    merged, i = [], 0
    while i < len(symbols):
        if symbols[i : i + 2] == pair:
            merged.append("".join(pair))
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return tuple(merged)
"""
JOIN = "        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]\n"
APPLY = """\
    symbols = list(word)
    while True:
        found = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(symbols)) if a + b in ranks]
        if not found:
            return symbols
        _, i = min(found)
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
"""
LONGEST = """\
    symbols = []
    while word:
        fits = [n for n in range(1, len(word) + 1) if n == 1 or word[:n] in ranks]
        symbols, word = [*symbols, word[: fits[-1]]], word[fits[-1] :]
    return symbols
"""
SPLIT = """\
    if not text:
        return []
    words, before = [], "\\n"
    for letter in MARK + text.replace(" ", MARK):
        if letter in ALONE or before in ALONE or (letter == MARK and before != MARK):
            words.append(letter)
        else:
            words[-1] += letter
        before = letter
    return words
"""
ENCODE = """\
        ids = []
        for word in split_words(text):
            for symbol in encode_word(word, self.ranks):
                if symbol in self.ids:
                    ids.append(self.ids[symbol])
                else:
                    ids += [self.ids[BYTES[byte]] for byte in symbol.encode()]
        return ids
"""
DECODE = """\
        row = b""
        for i in ids:
            piece = self.pieces[i]
            if piece in BYTES:
                row += bytes([BYTES.index(piece)])
            else:
                row += piece.replace(MARK, " ").encode()
        return row.decode("utf-8", errors="replace").removeprefix(" ")
"""
AS_TEXT = """\
        import re

        text = "".join(self.pieces[i] for i in ids).replace(MARK, " ")
        row = text.encode()
        row = re.sub(rb"<0x(..)>", lambda found: bytes.fromhex(found[1].decode()), row)
        return row.decode("utf-8", errors="replace").removeprefix(" ")
"""

MUTANTS = [
    # no mark in front, spaces that get lost, what follows a digit, ², each mark a word, no text
    Mutant("words", {"in MARK + text.replace": "in text.replace"}, 0, "get its mark?"),
    Mutant("words", {'text.replace(" ", MARK)': "MARK.join(text.split())"}, 1, "follows a digit"),
    Mutant("words", {"letter in ALONE or before in ALONE": "letter in ALONE"}, 2,
           "what follows a digit"),
    Mutant("words", {"letter in ALONE or before": "letter.isdigit() or letter in ALONE or before"},
           2, "what counts as a digit"),
    Mutant("words", {"(letter == MARK and before != MARK)": "letter == MARK"}, 2, "begins no word"),
    Mutant("words", {"    if not text:\n        return []\n": ""}, 2, "has no words"),
    # each word once, each pair once a word, every second pair
    Mutant("pairs", {"counts[pair] += times": "counts[pair] += 1"}, 2, "seen 500 times"),
    Mutant("pairs", {"in pairwise(symbols):": "in set(pairwise(symbols)):"}, 3, "n + n in nnn"),
    Mutant("pairs", {"in pairwise(symbols):": "in zip(symbols[::2], symbols[1::2]):"}, 2,
           "is missing"),
    # the rarest; ties by alphabet alone, by the longest, by the pair, by what came first; a piece
    Mutant("pairs", {"return -counts[pair], len": "return counts[pair], len"}, 2, "as numbers"),
    Mutant("pairs", {"len(piece), piece": "piece"}, 3, "length or alphabet"),
    Mutant("pairs", {"len(piece), piece": "-len(piece), piece"}, 3, "length or alphabet"),
    Mutant("pairs", {"len(piece), piece": "len(piece), pair"}, 3, "length or alphabet"),
    Mutant("pairs", {"min(counts, key=order)": "max(counts, key=counts.get)"}, 3, "tied pairs"),
    Mutant("pairs", {"min(counts, key=order)": '"".join(min(counts, key=order))'}, 2,
           "a string and must be a list"),
    # a symbol used twice, parts of symbols joined
    Mutant("learn", {"            i += 2\n": "            i += 1\n"}, 0, "after the pair"),
    Mutant("learn", {MERGE: '    text = " ".join(symbols).replace(" ".join(pair), "".join(pair))\n'
                            "    return tuple(text.split())\n"}, 3, "each symbol used once"),
    # nothing joined, no end, one too many, pairs for pieces, words that count once, words changed
    Mutant("learn", {RECOUNT[RECOUNT.index("        split") :]: ""}, 2, "joined in between"),
    Mutant("learn", {"            break\n": "            pass\n"}, 4, "no pair is left"),
    Mutant("learn", {"len(pieces) < size": "len(pieces) <= size"}, 2, "there are 2 values"),
    Mutant("learn", {'pieces.append("".join(pair))': "pieces.append(pair)"}, 2,
           "a list and must be a string"),
    Mutant("learn", {"tuple(word): times for word": "tuple(word): 1 for word"}, 3, "two steps"),
    Mutant("learn", {"    split = {tuple(word): times for word, times in words.items()}\n":
                     "    split = words\n    for word in list(words):\n"
                     "        split[tuple(word)] = split.pop(word)\n"}, 2, "words afterwards"),
    # leftmost, highest, longest first; one join; rank 0 is no rank
    Mutant("apply", {"_, i = min(found)": "i = found[0][1]"}, 1, "did you take the lowest?"),
    Mutant("apply", {"_, i = min(found)": "_, i = max(found)"}, 0, "When are you done?"),
    Mutant("apply", {APPLY: LONGEST}, 1, "did you take the lowest?"),
    Mutant("apply", {JOIN: JOIN + "        return symbols\n"}, 0, "new neighbors"),
    Mutant("apply", {"if a + b in ranks]": "if ranks.get(a + b)]"}, 0, "until none fits"),
    # other bytes, bytes at the front of the vocabulary, bytes one by one
    Mutant("tokenizer", {"symbol.encode()": 'symbol.encode("latin-1", "replace")'}, 2,
           "How many bytes has the character"),
    Mutant("tokenizer", {"self.ids[BYTES[byte]]": "byte"}, 2, "where do their pieces stand?"),
    Mutant("tokenizer", {"bytes([BYTES.index(piece)])": "chr(BYTES.index(piece)).encode()"}, 2,
           "need several bytes?"),
    # marks or spaces left over, all spaces lost, bytes lost, errors, text that looks like a byte
    Mutant("tokenizer", {'piece.replace(MARK, " ").encode()': "piece.encode()"}, 2, "which space"),
    Mutant("tokenizer", {'.removeprefix(" ")': ""}, 2, "which space did encode put in front?"),
    Mutant("tokenizer", {'.removeprefix(" ")': ".strip()"}, 2, "which space"),
    Mutant("tokenizer", {'errors="replace"': 'errors="ignore"'}, 3, "U+FFFD"),
    Mutant("tokenizer", {', errors="replace"': ""}, 3, "UnicodeDecodeError"),
    Mutant("tokenizer", {DECODE: AS_TEXT}, 3, "only looks like a byte"),
]  # fmt: skip

ALTERNATIVES = [
    Alternative("regular expression, slices, a sorted list", {
        SPLIT: """\
    import re

    marked = MARK + text.replace(" ", MARK)
    return re.findall("[\\\\n0-9]|▁*[^▁\\\\n0-9]+|▁+", marked) if text else []
""",
        "in pairwise(symbols):": "in zip(symbols[:-1], symbols[1:]):",
        "min(counts, key=order)": "sorted(counts, key=order)[0]",
    }),
    Alternative("plain dicts, the best pair step by step", {
        "counts = Counter()": "counts = {}",
        "counts[pair] += times": "counts[pair] = counts.get(pair, 0) + times",
        "    return min(counts, key=order)\n": """\
    most = max(counts.values())
    equals = [pair for pair, count in counts.items() if count == most]
    shortest = min(len(a + b) for a, b in equals)
    return min((a + b, (a, b)) for a, b in equals if len(a + b) == shortest)[1]
""",
    }),
    Alternative("counts that are kept up to date", {
        "    pieces = []\n": "    counts, pieces = count_pairs(split), []\n",
        RECOUNT: """\
        if not counts:
            break
        pair = best_pair(counts)
        pieces.append("".join(pair))
        for symbols in [each for each in split if pair in pairwise(each)]:
            times, joined = split.pop(symbols), merge(symbols, pair)
            for old in pairwise(symbols):
                counts[old] -= times
            for new in pairwise(joined):
                counts[new] += times
            split[joined] = times
        counts = Counter({pair: count for pair, count in counts.items() if count})
""",
    }),
    Alternative("merging by recursion, all places of a piece at once in encoding", {
        MERGE: """\
    if len(symbols) < 2:
        return symbols
    if symbols[:2] == pair:
        return (symbols[0] + symbols[1], *merge(symbols[2:], pair))
    return (symbols[0], *merge(symbols[1:], pair))
""",
        APPLY: """\
    symbols = tuple(word)
    while fitting := [pair for pair in pairwise(symbols) if "".join(pair) in ranks]:
        symbols = merge(symbols, min(fitting, key=lambda pair: ranks["".join(pair)]))
    return list(symbols)
""",
    }),
    Alternative("a heap of joins", {
        APPLY: """\
    import heapq

    symbols, after = list(word), list(range(1, len(word) + 1))
    before = list(range(-1, len(word) - 1))
    heap = []

    def offer(i):
        if i >= 0 and after[i] < len(word) and (piece := symbols[i] + symbols[after[i]]) in ranks:
            heapq.heappush(heap, (ranks[piece], i, piece))

    for i in range(len(word)):
        offer(i)
    while heap:
        _, i, piece = heapq.heappop(heap)
        j = after[i] if symbols[i] else len(word)
        if j < len(word) and symbols[i] + symbols[j] == piece:
            symbols[i], symbols[j], after[i] = piece, "", after[j]
            if after[j] < len(word):
                before[after[j]] = i
            offer(i)
            offer(before[i])
    return [symbol for symbol in symbols if symbol]
""",
    }),
    Alternative("a table of bytes, runs of bytes, the first piece asked for its mark", {
        ENCODE: """\
        def spelled(symbol):
            return [symbol] if symbol in self.ids else [f"<0x{n:02X}>" for n in symbol.encode()]

        symbols = [symbol for word in split_words(text) for symbol in encode_word(word, self.ranks)]
        return [self.ids[piece] for symbol in symbols for piece in spelled(symbol)]
""",
        DECODE: """\
        number = {piece: byte for byte, piece in enumerate(BYTES)}
        parts, run = [], []
        for piece in [self.pieces[i] for i in ids] + [""]:
            if piece in number:
                run.append(number[piece])
                continue
            parts.append(bytes(run).decode(errors="replace"))
            parts.append(piece.replace(MARK, " "))
            run = []
        text = "".join(parts)
        return text[1:] if text[:1] == " " else text
""",
    }),
]  # fmt: skip
