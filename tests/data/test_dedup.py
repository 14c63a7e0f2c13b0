import itertools

import datasketch
import numpy as np
import pytest

from minimodels.data import dedup
from minimodels.data.dedup import (
    PERMUTATIONS,
    candidate_probability,
    contradict,
    deduplicate,
    exact,
    jaccard,
    near_duplicates,
    normalize,
    shingle_set,
    signature,
)
from minimodels.data.documents import tell
from minimodels.data.world import World

TEXT = "Mira Voss learned to play the violin as a child. She was born in Oakhaven, by the river."


def documents(*texts):
    return [{"id": f"d-{i}", "text": text, "lang": "en"} for i, text in enumerate(texts)]


def words(count, seed):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdefghijklmnop"), 6)) for _ in range(count)]


def alike(share, seed):
    """Two texts of 200 words with about this share of words in common, in blocks."""
    common, one, other = words(200, seed), words(200, seed + 1), words(200, seed + 2)
    cut = int(200 * share)
    return " ".join(common[:cut] + one[cut:]), " ".join(common[:cut] + other[cut:])


def test_shingles_are_the_runs_of_characters():
    runs = {normalize(TEXT)[i : i + 5] for i in range(len(normalize(TEXT)) - 4)}
    assert len(shingle_set(TEXT)) == len(runs)
    assert len(shingle_set("")) == len(shingle_set("ab")) == 1
    one, other = "the red fox ran", "the red fix ran"
    sets = [{t[i : i + 5] for i in range(len(t) - 4)} for t in (one, other)]
    truth = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    assert jaccard(shingle_set(one), shingle_set(other)) == pytest.approx(truth)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_signatures_estimate_jaccard_as_datasketch_does(share):
    """Both within four standard errors √(s(1−s)/P) of the true similarity."""
    for seed in range(2):
        sets = [shingle_set(text) for text in alike(share, 10 * seed)]
        truth = jaccard(*sets)
        ours = (signature(sets[0]) == signature(sets[1])).mean()
        theirs = [datasketch.MinHash(PERMUTATIONS, seed=seed) for _ in sets]
        for sketch, shingles in zip(theirs, sets, strict=True):
            sketch.update_batch([shingle.tobytes() for shingle in shingles])
        allowed = 4 * np.sqrt(truth * (1 - truth) / PERMUTATIONS) + 1e-9
        assert abs(ours - truth) <= allowed
        assert abs(theirs[0].jaccard(theirs[1]) - truth) <= allowed


def test_the_estimate_has_no_bias():
    errors = []
    for seed in range(40):
        sets = [shingle_set(text) for text in alike(0.7, 1000 + 10 * seed)]
        errors.append((signature(sets[0]) == signature(sets[1])).mean() - jaccard(*sets))
    assert abs(np.mean(errors)) < 4 * 0.5 / np.sqrt(PERMUTATIONS * 40)


def test_candidates_appear_as_often_as_the_formula_says():
    """2,000 pairs of signatures that agree in each place with probability s: within 4 sigma."""
    rng = np.random.default_rng(0)
    for s in (0.5, 0.7, 0.8, 0.9):
        agree = rng.random((2000, dedup.BANDS, dedup.ROWS)) < s
        one = np.zeros((2000, PERMUTATIONS), np.uint32)
        other = (~agree.reshape(2000, -1)).astype(np.uint32)
        pairs = zip(one, other, strict=True)
        met = np.mean([bool({*dedup.band_keys(a)} & {*dedup.band_keys(b)}) for a, b in pairs])
        expected = candidate_probability(s)
        assert abs(met - expected) < 4 * np.sqrt(expected * (1 - expected) / 2000) + 1e-9
    assert candidate_probability(0.5) == pytest.approx(0.0607, abs=1e-4)


def test_exact_copies_and_the_first_survives():
    kept, merged = exact(documents(TEXT, "Another text.", TEXT, TEXT.upper(), f"  {TEXT}\n"))
    assert [d["id"] for d in kept] == ["d-0", "d-1"]
    assert merged == {"d-2": "d-0", "d-3": "d-0", "d-4": "d-0"}
    assert exact(documents("x < 1", "x > 1", "2 + 2", "2 * 2"))[1] == {}


def test_near_copies_merge_into_the_first():
    changed = [TEXT.replace("child", "chlid"), TEXT + " [edited]", "x" + TEXT]
    kept, merged = deduplicate(documents(TEXT, *changed, changed[0]))
    assert [d["id"] for d in kept] == ["d-0"]
    assert merged == {f"d-{i}": "d-0" for i in range(1, 5)}
    assert near_duplicates(documents(TEXT, TEXT[::-1]))[1] == {}
    other = documents(TEXT, changed[0])
    other[1]["lang"] = "de"
    assert deduplicate(other)[1] == {}


def test_one_digit_makes_another_document(monkeypatch):
    code = "function minus_{0}(x) {{\n  return x - {0};\n}}\n\nconsole.assert(minus_{0}(99) < 99);"
    texts = [code.format(n) for n in range(10, 99)]
    sums = [f"{n} - 28 = {n - 28}, because 28 + {n - 28} = {n}." for n in range(40, 90)]
    assert deduplicate(documents(*texts, *sums))[1] == {}
    assert len(deduplicate(documents(*(text + " 7" for text in texts)))[0]) == len(texts)
    monkeypatch.setattr(dedup, "contradict", lambda one, other: False)
    assert len(deduplicate(documents(*texts), threshold=0.6)[0]) < len(texts)  # the control


@pytest.mark.parametrize(
    "other, contradicts",
    [
        ("Maren Ashby lives with 2 dogs in Oakhaven.", True),
        ("Otto Ashby lives with 3 dogs in Oakhaven.", True),
        ("Otto Ashby lives with 2 dogs in Merrow.", True),
        ("Otto Ahsby lives wiht 2 dogs in Oakhaven!", False),
        ("OTTO ASHBY LIVES WITH 2 DOGS IN OAKHAVEN.", False),
        ("Otto Ashby lives with 2 dogs in Oakhaven. Source: The Web", False),
    ],
)
def test_what_contradicts(other, contradicts):
    assert contradict("Otto Ashby lives with 2 dogs in Oakhaven.", other) == contradicts
    assert contradict(other, "Otto Ashby lives with 2 dogs in Oakhaven.") == contradicts


def test_people_told_in_the_same_wording_stay_apart():
    """Every person's six facts in one wording, in each language: 100 templated documents."""
    world = World(1, people=100)
    for lang, wording in itertools.product(("en", "zh", "es", "de"), (0, 1)):
        texts = []
        for person in world.people:
            facts = world.facts_of(person).values()
            texts.append(" ".join(tell(world, fact, lang, wording) for fact in facts))
        assert deduplicate(documents(*texts))[1] == {}
        copies = [text.replace(".", "!") + " (via example.com)" for text in texts]
        assert len(deduplicate(documents(*texts, *copies))[0]) < 120  # the control


def test_a_chain_of_small_changes_does_not_merge_its_ends():
    letters = words(40, 1)
    chain = [" ".join(words(step, 2) + letters[step:]) for step in range(0, 41, 2)]
    kept, merged = deduplicate(documents(*chain))
    assert len(kept) > 2
    text_of = {d["id"]: d["text"] for d in documents(*chain)}
    for dropped, survivor in merged.items():
        pair = shingle_set(text_of[dropped]), shingle_set(text_of[survivor])
        assert jaccard(*pair) >= dedup.THRESHOLD


def test_merged_names_only_survivors():
    texts = [f"{TEXT} {' '.join(words(3, i % 7))}" + "!" * (i % 3) for i in range(60)]
    kept, merged = deduplicate(documents(*texts))
    ids = {d["id"] for d in kept}
    assert set(merged.values()) <= ids and not set(merged) & ids
    assert len(ids) + len(merged) == 60 and len(merged) >= 50
    assert deduplicate(kept) == (kept, {})
