import numpy as np
import pytest

from minimodels.data.filters import LEAST_SCORE
from minimodels.data.language import BUCKETS, SMOOTHING, LanguageID, default_identifier

SENTENCES = {  # none of them in the samples it learned from
    "en": ["I sell apples on the square.", "Where is the station?", "They will not be back soon."],
    "zh": ["车站在哪里？", "今天的天气很好，我想去公园。", "Nadia Lund喜欢喝茶。"],
    "es": ["¿Quién habla en la biblioteca?", "La vida es sueño.", "Mi hermana no quiere hablar."],
    "de": ["Wo ist der Bahnhof?", "Die Katze schläft auf dem Sofa.", "Ich ging im Walde so hin."],
}  # fmt: skip
NO_LANGUAGE = ["xqz vbn wkj qpx zzkr", "#$%&* *+= {}[]", "lrcoem .kdrDrtBre ßf rl i nhluAnieFdh"]


@pytest.mark.parametrize("language", SENTENCES)
def test_sentences_it_never_saw(language):
    for sentence in SENTENCES[language]:
        found, score = default_identifier().identify(sentence)
        assert found == language
        assert score > LEAST_SCORE


def test_text_in_no_language_scores_low():
    assert all(default_identifier().identify(text)[1] < LEAST_SCORE for text in NO_LANGUAGE)
    assert default_identifier().identify("")[0] in SENTENCES


def test_scores_are_the_mean_log_probability_of_the_trigrams():
    one = LanguageID({"x": ["aaaa"], "y": ["bbbb"]})
    scores = one.scores("aaaa")
    counts = np.array([1, 1, 2, 2, 1])  # "  a", " aa", "aaa" twice, "aa "
    expected = np.log((counts + SMOOTHING) / (5 + SMOOTHING * BUCKETS)).mean()
    assert scores["x"] == pytest.approx(expected) and scores["x"] > scores["y"]
    assert one.identify("AAAA") == ("x", scores["x"])
    assert one.identify("bbb")[0] == "y"
