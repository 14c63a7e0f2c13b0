import itertools

import pytest

from minimodels.data.documents import documents
from minimodels.data.mixture import SHARES, group_of, mix
from minimodels.data.world import World
from minimodels.errors import UserError


@pytest.fixture(scope="module")
def clean():
    return list(itertools.islice(documents(World(1, people=40)), 2000))


def tokens_of(document):
    return len(document["text"]) // 3 + 2


@pytest.mark.parametrize("total", [20_000, 100_000, 300_000])
def test_shares_by_tokens_within_half_a_percent(clean, total):
    mixed, report = mix(clean, tokens_of, total_tokens=total, seed=1)
    counted = {name: sum(tokens_of(d) for d in mixed if group_of(d) == name) for name in SHARES}
    assert abs(sum(counted.values()) - total) < 0.005 * total
    for name, share in SHARES.items():
        assert abs(counted[name] / total - share) < 0.005
        assert report[name]["tokens"] == counted[name]
        assert report[name]["share"] == pytest.approx(counted[name] / sum(counted.values()))
    code = sum(tokens_of(d) for d in clean if group_of(d) == "code")
    assert abs(code / sum(map(tokens_of, clean)) - 0.15) > 0.005  # it does not come so by itself


def test_long_documents_are_passed_over_when_they_would_overshoot():
    made = [{"id": str(i), "kind": "prose", "lang": "en", "size": size}
            for i, size in enumerate([900, 900, 900, 20, 30, 40])]  # fmt: skip
    _, report = mix(made, lambda d: d["size"], {"english": 1.0}, total_tokens=1000, seed=0)
    assert abs(report["english"]["tokens"] - 1000) <= 20


def test_a_short_group_is_repeated_evenly(clean):
    others = [d for d in clean if group_of(d) != "code"]
    few = others + [d for d in clean if group_of(d) == "code"][:10]
    mixed, report = mix(few, tokens_of, total_tokens=100_000)
    seen = [sum(d["id"] == code["id"] for d in mixed) for code in few[-10:]]
    assert report["code"]["epochs"] > 4
    assert max(seen) - min(seen) <= 2
    assert sum(seen) == report["code"]["documents"]
    assert report["code"]["epochs"] == pytest.approx(sum(seen) / 10, rel=0.1)


def test_groups():
    assert group_of({"kind": "code", "lang": "lua"}) == "code"
    assert group_of({"kind": "biography", "lang": "zh"}) == "multilingual"
    for kind in ("arithmetic", "dialogue", "log", "prose"):
        assert group_of({"kind": kind, "lang": "en"}) == "english"


def test_the_seed_decides_the_order(clean):
    first, again, other = (mix(clean, tokens_of, None, 20_000, seed)[0] for seed in (1, 1, 2))
    assert first == again != other


def test_bad_shares(clean):
    with pytest.raises(UserError, match="add up to 1"):
        mix(clean, tokens_of, {"english": 0.5})
    with pytest.raises(UserError, match="add up to 1"):
        mix(clean, tokens_of, {"english": 1.5, "code": -0.5})
    with pytest.raises(UserError, match="no code document"):
        mix([d for d in clean if d["kind"] != "code"], tokens_of)
    with pytest.raises(UserError, match="no english document"):
        mix(clean, lambda d: 0)
    only = [d for d in clean if d["kind"] != "code"]
    assert mix(only, tokens_of, {"english": 1.0, "code": 0.0}, 1000)[1]["code"]["tokens"] == 0
