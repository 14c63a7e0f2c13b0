import pytest

from minimodels.data.filters import (
    Filter,
    duplicate_phrase_share,
    filter_documents,
    judge,
    luhn,
    personal_data,
    split_words,
    top_phrase_share,
    without_boilerplate,
)

GOOD = "Mira Voss was born in Oakhaven. She plays the violin and keeps an otter at home."


def document(text=GOOD, **changes):
    return {"id": "d-1", "text": text, "lang": "en", "kind": "biography", "source": "test",
            "labels": {}, "facts": []} | changes  # fmt: skip


@pytest.mark.parametrize(
    "text, lang",
    [
        (GOOD, "en"),
        ("Mira Voss出生在Oakhaven。她会演奏小提琴。", "zh"),
        ("Mira Voss nació en Oakhaven y toca el violín en casa.", "es"),
        ("Mira Voss wurde in Oakhaven geboren und spielt zu Hause Geige.", "de"),
        ("Mira: Nice to see you.\nIvo: The train was late.\nMira: See you tomorrow.", "en"),
        ("Call me at noon, or in 2024.", "en"),
    ],
)
def test_good_documents_are_kept(text, lang):
    assert judge(document(text, lang=lang)) == (True, "kept")


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "too short"),
        ("Hello there.", "too short"),
        (GOOD + " Write to mira@example.com.", "personal data"),
        (GOOD + " You dunderhead!", "insult"),
        ("The *** and === of it [+] <@> ~~ || the {} #### end.", "too many symbols"),
        ("In 1 2 3 4 5 6 7 8 9 10 the sum.", "too few words with letters"),
        ("Thewordsofthisline areallwrittentogether withoutanyspaces inbetween.", "odd word length"),
        ("Read it.\nRead it.\nRead it.\nThe end is near.", "repeated lines"),
        ("I would buy it here again. " * 5, "repeated phrases"),
        ("bqd wkzj xvq zzt pfkw qjx vbnm krtz", "gibberish"),
        ("Mira Voss wurde in Oakhaven geboren und spielt zu Hause Geige.", "wrong language"),
        (GOOD + "\nMira Voss wurde in Oakhaven geboren und spielt Geige.", "wrong language"),
        ("Mira Voss eats apples, cherries, noodles, dumplings.", "no stop words"),
    ],
)
def test_each_rule_objects(text, reason):
    assert judge(document(text)) == (False, reason)


def test_code_and_sums_are_spared_the_rules_of_prose():
    code = "function f(x) {\n  return x + 2;\n}\n\nconsole.assert(f(2) === 4);"
    assert judge(document(code, kind="code", lang="javascript"))[0]
    assert not judge(document(code))[0]
    sums = "77 - 28 = 49, because 28 + 49 = 77."
    assert judge(document(sums, kind="arithmetic"))[0]
    assert not judge(document(sums))[0]
    assert judge(document(code + "  // you nitwit", kind="code")) == (False, "insult")


def test_boilerplate_lines_are_cut_and_counted():
    dirty = f"Home | About | Contact\n{GOOD}\n© 2024 Example Media. All rights reserved."
    assert without_boilerplate(dirty) == GOOD
    kept, reasons = filter_documents([document(dirty), document(), document("Log in")])
    assert [d["text"] for d in kept] == [GOOD, GOOD]
    assert reasons == {"kept, boilerplate cut": 1, "kept": 1, "too short": 1}
    assert without_boilerplate("a\n\n\n b | c") == "a"
    assert without_boilerplate("a\n\n\n b |c") == "a\n\n\n b |c"
    long = "Cookie recipes of the town of Oakhaven, told by Mira Voss. " * 3
    assert without_boilerplate(long) == long


def test_filtering_leaves_its_input_alone():
    dirty = document(f"Subscribe to our newsletter!\n{GOOD}")
    filter_documents([dirty])
    assert dirty["text"].startswith("Subscribe")


@pytest.mark.parametrize(
    "text, found",
    [
        ("mira.voss+1@mail.example.org", "email"),
        ("call (212) 555-0147", "phone"),
        ("+1 212 555 0147", "phone"),
        ("212.555.0147", "phone"),
        ("card 0000 0000 0000 0000", "card"),
        ("0000-1234-5678-9011", None),
        ("9216 * 940 = 8663040", None),
        ("3.14159 26535 89793", None),
        ("on 2024-11-21 at 10:30", None),
        ("@property and x @ y", None),
    ],
)
def test_personal_data(text, found):
    assert personal_data(text) == found


def test_luhn_finds_any_single_wrong_digit():
    good = "4539578763621486"  # a published example of the check, no card
    assert luhn(good)
    for place in range(16):
        other = str((int(good[place]) + 1) % 10)
        assert not luhn(good[:place] + other + good[place + 1 :])


def test_leaks_of_a_benchmark():
    item = "The town where Mira Voss was born is Oakhaven."
    guarded = Filter([item, "Short one?"])
    leaks = ("THE TOWN where Mira Voss was born: is it Oakhaven?", "Was it a short one?")
    for text in leaks:
        assert guarded.judge(document(f"{GOOD} {text}")) == (False, "benchmark leak")
    near = "The town where he was born is not far."
    assert guarded.judge(document(f"{GOOD} {near}")) == (True, "kept")


def test_shares_of_repeated_phrases_by_hand():
    words = split_words("ab cd ef ab cd ef ab cd ef gh")
    assert top_phrase_share(words, 3) == pytest.approx(18 / 20)
    assert duplicate_phrase_share(words, 3) == pytest.approx(18 / 20)
    assert top_phrase_share(words, 5) == duplicate_phrase_share(words, 5) == 0
    assert top_phrase_share([], 3) == duplicate_phrase_share([], 3) == 0
    assert split_words("Don't say 你好 2x") == ["don", "t", "say", "你", "好", "2x"]
