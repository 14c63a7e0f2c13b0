import itertools
import re
from collections import Counter

import pytest

from minimodels.data.dirt import RATES, add_dirt, truth_table
from minimodels.data.documents import documents
from minimodels.data.filters import luhn
from minimodels.data.world import World

BENCHMARK = ["The town where Mira Voss was born is Oakhaven."]


@pytest.fixture(scope="module")
def clean():
    return list(itertools.islice(documents(World(1, people=40)), 1000))


@pytest.fixture(scope="module")
def dirty(clean):
    return add_dirt(clean, seed=3, benchmark=BENCHMARK)


def made(dirty, kind):
    return [document for document in dirty if document["labels"].get("dirt") == kind]


def test_each_kind_at_its_rate_and_the_clean_ones_untouched(clean, dirty):
    counts = Counter(document["labels"].get("dirt", "clean") for document in dirty)
    assert counts == {"clean": 1000} | {kind: round(1000 * rate) for kind, rate in RATES.items()}
    assert [document for document in dirty if not document["labels"]] == clean
    assert len({document["id"] for document in dirty}) == len(dirty)


def test_a_dirty_document_follows_the_one_it_is_made_of_and_carries_its_facts(clean, dirty):
    place = {document["id"]: number for number, document in enumerate(dirty)}
    by_id = {document["id"]: document for document in clean}
    for document in dirty:
        if document["labels"]:
            base = by_id[document["labels"]["of"]]
            assert place[base["id"]] < place[document["id"]]
            expected = [] if document["labels"]["dirt"] == "gibberish" else base["facts"]
            assert document["facts"][: len(expected)] == expected
            assert document["kind"] == base["kind"] and set(document) == set(base)


def test_what_the_kinds_do(clean, dirty):
    text_of = {document["id"]: document["text"] for document in clean}

    def pairs(kind):
        return [(d["text"], text_of[d["labels"]["of"]]) for d in made(dirty, kind)]

    assert all(text == base for text, base in pairs("exact_duplicate"))
    assert all(text != base for text, base in pairs("near_duplicate"))
    assert all(base in text and len(text) > len(base) for text, base in pairs("boilerplate"))
    assert all(text.count(base) >= 4 for text, base in pairs("repetition"))
    assert all(text.endswith(BENCHMARK[0]) for text, _ in pairs("benchmark_leak"))
    languages = {document["id"]: document["lang"] for document in clean}
    for document in made(dirty, "wrong_language"):
        relabeled = document["lang"] != languages[document["labels"]["of"]]
        assert relabeled != (document["text"] != text_of[document["labels"]["of"]])


def test_personal_data_belongs_to_nobody(clean, dirty):
    text_of = {document["id"]: document["text"] for document in clean}
    kinds = Counter()
    for document in made(dirty, "pii"):
        added = document["text"].replace(text_of[document["labels"]["of"]], "")
        digits = re.sub(r"\D", "", added)
        if "example." in added:
            kinds["email"] += 1
        elif len(digits) == 16:
            kinds["card"] += luhn(digits) and digits.startswith("0000")
        else:
            kinds["phone"] += re.search(r"555\D01\d\d", added) is not None
    assert sum(kinds.values()) == len(made(dirty, "pii")) and len(kinds) == 3


def test_the_seed_decides(clean, dirty):
    assert add_dirt(iter(clean), seed=3, benchmark=BENCHMARK) == dirty
    assert add_dirt(clean, seed=4, benchmark=BENCHMARK) != dirty


def test_rates_can_be_chosen_and_nothing_leaks_without_a_benchmark(clean):
    assert add_dirt(clean, rates={}) == clean
    assert not made(add_dirt(clean), "benchmark_leak")
    only = add_dirt(clean, rates={"pii": 0.5})
    assert Counter(d["labels"].get("dirt") for d in only) == {None: 1000, "pii": 500}
    assert add_dirt([]) == []


def test_truth_table(dirty):
    kept = [document["id"] for document in dirty if document["labels"].get("dirt") != "pii"][1:]
    table = truth_table(dirty, kept)
    assert table["pii"] == {"documents": 30, "removed": 30, "share": 1.0}
    assert table["clean"] == {"documents": 1000, "removed": 1, "share": 0.001}
    assert sum(row["documents"] for row in table.values()) == len(dirty)
