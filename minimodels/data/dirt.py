"""The dirt of the web, added on purpose: since each dirty document says what is wrong with it, the
precision and recall of every filter can be counted.

    labels = {"dirt": kind, "of": id of the clean document it was made from}

All contact data lies in ranges that belong to nobody (example.com, telephone 555-01xx, card numbers
without an issuer), and the insults are mild ones.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# a kind of dirt: how many documents of it are added for each clean one
RATES = {
    "boilerplate": 0.05,
    "exact_duplicate": 0.05,
    "near_duplicate": 0.05,
    "pii": 0.03,
    "toxicity": 0.02,
    "wrong_language": 0.02,
    "gibberish": 0.02,
    "repetition": 0.02,
    "benchmark_leak": 0.01,
}
TOLD = ("biography", "place", "dialogue", "prose")  # kinds in sentences: what most dirt sits on

BANNERS = {
    "en": ["We use cookies to give you the best experience. Accept all",
           "Home | About | Contact | Log in", "Subscribe to our newsletter!", "Read more »",
           "© 2024 Example Media. All rights reserved.", "Share on Mumble | Share on Chirp",
           "Privacy policy | Terms of use", "Advertisement", "Skip to main content",
           "You may also like: ten towns to see", "Please enable JavaScript to view this page."],
    "zh": ["本网站使用Cookie。接受全部", "首页 | 关于我们 | 联系我们", "版权所有 © 2024 示例传媒",
           "点击阅读全文"],
    "es": ["Usamos cookies para mejorar su experiencia. Aceptar", "Todos los derechos reservados.",
           "Inicio | Quiénes somos | Contacto", "También te puede interesar: diez pueblos"],
    "de": ["Diese Website verwendet Cookies. Alle akzeptieren", "Startseite | Über uns | Kontakt",
           "Alle Rechte vorbehalten.", "Das könnte Sie auch interessieren: zehn Städte"],
}  # fmt: skip
CONTACTS = {
    "en": ["Write to {email}.", "Call {phone} after six.", "Paid with card {card}.",
           "My number is {phone}."],
    "zh": ["邮箱：{email}", "电话：{phone}", "卡号：{card}", "请拨打{phone}。"],
    "es": ["Escriba a {email}.", "Teléfono: {phone}.", "Tarjeta: {card}.", "Llame al {phone}."],
    "de": ["E-Mail: {email}", "Telefon: {phone}", "Karte: {card}", "Rufen Sie {phone} an."],
}  # fmt: skip
EMAILS = ["{}@example.com", "{}@mail.example.org", "{}@example.net", "{} (at) example.com"]
PHONES = ["({}) 555-{}", "{}-555-{}", "+1 {} 555 {}", "+1-{}-555-{}", "{}.555.{}"]
INSULTS = {
    "en": ["nincompoop", "blockhead", "numbskull", "dunderhead", "muttonhead", "nitwit", "dimwit",
           "halfwit", "goose", "donkey", "turnip"],
    "zh": ["笨蛋", "傻瓜", "木头脑袋"],
    "es": ["tonto", "bobo", "zoquete", "burro"],
    "de": ["Dummkopf", "Trottel", "Holzkopf", "Esel"],
}  # fmt: skip
SCOLDING = {
    "en": ["Only a {i} would write this.", "Shut up, you {i}!", "What a {i} you are."],
    "zh": ["你这个{i}！", "只有{i}才会写这个。"],
    "es": ["¡Cállate, {i}!", "Eres un {i}."],
    "de": ["Halt den Mund, du {i}!", "So ein {i} bist du."],
}
FILLERS = {
    "en": ["also", "really", "still"],
    "es": ["también", "ya"],
    "de": ["auch", "noch"],
    "zh": ["也", "还"],
}
TAILS = ["(via example.com)", "[edited]", "Source: example.org", "…", "+++"]


@dataclass(frozen=True)
class Stock:
    """What dirt can be made of."""

    clean: Sequence[dict]
    told: Sequence[dict]  # those in sentences
    benchmark: Sequence[str]


def add_dirt(
    documents: Iterable[dict],
    seed: int = 0,
    rates: dict[str, float] | None = None,
    benchmark: Sequence[str] = (),
) -> list[dict]:
    """The clean documents with dirty ones among them, each somewhere after the one it is made of.

    A dirty document has an id of its own ("x-…") and carries the facts of its original.
    benchmark: texts of an evaluation that shall leak; without it nothing leaks.
    """
    clean = list(documents)
    rng = random.Random(f"dirt {seed}")
    place = {document["id"]: place for place, document in enumerate(clean)}
    told = [document for document in clean if document["kind"] in TOLD]
    stock = Stock(clean, told, benchmark)
    placed = [(place[document["id"]], document) for document in clean]
    for kind, rate in (RATES if rates is None else rates).items():
        among = clean if kind == "exact_duplicate" else told
        if not among or (kind == "benchmark_leak" and not benchmark):
            continue
        for _ in range(round(rate * len(clean))):
            base = rng.choice(among)
            labels = base["labels"] | {"dirt": kind, "of": base["id"]}
            named = {"id": f"x-{len(placed):07d}", "labels": labels}
            made = base | MAKERS[kind](base, stock, rng) | named
            placed.append((rng.uniform(place[base["id"]], len(clean)), made))
    return [document for _, document in sorted(placed, key=lambda pair: pair[0])]


def boilerplate(document, stock, rng):
    banners = _of(BANNERS, document)
    above = rng.sample(banners, rng.randint(1, 3))
    below = rng.sample(banners, rng.randint(0, 2))
    return {"text": "\n".join([*above, document["text"], *below])}


def exact_duplicate(document, stock, rng):
    return {}


def near_duplicate(document, stock, rng):
    """One small edit, and one more for each 150 characters: what changes when pages are copied."""
    text = document["text"]
    for _ in range(1 + len(text) // 150):
        text = rng.choice((_typo, _filler, _tail, _shout))(text, document, rng)
    return {"text": text if text != document["text"] else text + " " + rng.choice(TAILS)}


def pii(document, stock, rng):
    name = f"{rng.choice('abcdefgh')}{rng.choice(('lee', 'kim', 'roe', 'fox'))}{rng.randint(1, 99)}"
    contact = rng.choice(_of(CONTACTS, document)).format(
        email=rng.choice(EMAILS).format(name),
        phone=rng.choice(PHONES).format(rng.randint(201, 989), f"01{rng.randint(0, 99):02d}"),
        card=_card(rng),
    )
    parts = [document["text"], contact]
    return {"text": " ".join(rng.sample(parts, 2))}


def toxicity(document, stock, rng):
    insult = rng.choice(_of(SCOLDING, document)).format(i=rng.choice(_of(INSULTS, document)))
    return {"text": f"{document['text']} {insult}"}


def wrong_language(document, stock, rng):
    """Half of them claim another language, half go over to one after the first text."""
    if rng.random() < 0.5:
        return {"lang": rng.choice([lang for lang in BANNERS if lang != document["lang"]])}
    for other in rng.choices(stock.told, k=200):
        if other["lang"] != document["lang"]:
            facts = [*document["facts"], *other["facts"]]
            return {"text": f"{document['text']}\n{other['text']}", "facts": facts}
    return {"lang": "zh" if document["lang"] != "zh" else "en"}


def gibberish(document, stock, rng):
    last = _misread if document["lang"] == "zh" else _random_words  # ASCII survives any charset
    made = rng.choice((_shuffled, _symbols, last))(document["text"], rng)
    return {"text": made, "facts": []}


def repetition(document, stock, rng):
    joint = rng.choice((" ", "\n"))
    return {"text": joint.join([document["text"]] * rng.randint(4, 12))}


def benchmark_leak(document, stock, rng):
    return {"text": f"{document['text']}\n{rng.choice(stock.benchmark)}"}


MAKERS = {maker.__name__: maker for maker in (
    boilerplate, exact_duplicate, near_duplicate, pii, toxicity, wrong_language, gibberish,
    repetition, benchmark_leak,
)}  # fmt: skip


def truth_table(documents: Sequence[dict], kept_ids: Iterable[str]) -> dict[str, dict]:
    """What became of each kind: {"clean": {"documents": n, "removed": m, "share": m/n}, …}.

    The share of a kind of dirt is the recall on it; the share of "clean" is what was lost wrongly.
    """
    kept, rows = set(kept_ids), {"clean": [0, 0]}
    for document in documents:
        row = rows.setdefault(document["labels"].get("dirt", "clean"), [0, 0])
        row[0] += 1
        row[1] += document["id"] not in kept
    return {kind: {"documents": documents, "removed": removed, "share": removed / max(documents, 1)}
            for kind, (documents, removed) in rows.items()}


def _of(table, document):
    return table.get(document["lang"], table["en"])


def _letters(text):
    """Positions where a word of at least four letters goes on: room for a typo inside it."""
    return [i for i in range(1, len(text) - 2)
            if text[i - 1 : i + 3].isalpha() and text[i].islower() and text[i] != text[i + 1]]


def _typo(text, document, rng):
    places = _letters(text)
    if not places:
        return text
    i = rng.choice(places)
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


def _filler(text, document, rng):
    filler, joint = rng.choice(_of(FILLERS, document)), "" if document["lang"] == "zh" else " "
    places = [i for i, letter in enumerate(text) if letter == (joint or "。")]
    if not places:
        return text + joint + filler
    i = rng.choice(places)
    return text[:i] + joint + filler + text[i:]


def _tail(text, document, rng):
    return f"{text} {rng.choice(TAILS)}"


def _shout(text, document, rng):
    change = rng.choice((str.upper, lambda t: t.replace(" ", "  "), lambda t: t.replace(".", "!")))
    return change(text)


def _card(rng):
    """Sixteen digits that begin with 0000, which no issuer has, and pass Luhn's check."""
    digits = [0, 0, 0, 0, *(rng.randint(0, 9) for _ in range(11))]
    doubled = [d * 2 - 9 * (d > 4) if i % 2 == 0 else d for i, d in enumerate(digits)]
    digits.append(-sum(doubled) % 10)
    joint, text = rng.choice((" ", "-", "")), "".join(map(str, digits))
    return joint.join(text[i : i + 4] for i in range(0, 16, 4))


def _random_words(text, rng):
    letters = "bcdfghjklmnpqrstvwxzaeiouy"
    count = len(text) // 6 + 5
    return " ".join("".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(count))


def _shuffled(text, rng):
    return "".join(rng.sample(text, len(text)))


def _symbols(text, rng):
    return "".join(rng.choices("#$%&*+=<>@^~|{}[]…•■◆ abc", k=max(len(text), 20)))


def _misread(text, rng):
    """UTF-8 read as Latin-1, twice: what a wrong charset header does."""
    return text.encode().decode("latin-1").encode().decode("latin-1")
