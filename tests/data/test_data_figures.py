from minimodels.data import figures
from minimodels.data.tokenizer import train_tokenizer


def texts_of(figure):
    axes = figure.axes[0]
    labels = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
    return " ".join(text.get_text() for text in labels)


def test_removed_shows_each_kind_and_the_loss():
    table = {"clean": {"documents": 200, "removed": 1, "share": 0.005},
             "pii": {"documents": 10, "removed": 9, "share": 0.9}}  # fmt: skip
    figure = figures.removed(table)
    bars = [bar.get_width() for bar in figure.axes[0].patches]
    assert sorted(bars) == [0.005, 0.9]
    assert "90.0% of 10" in texts_of(figure) and "lost by mistake" in texts_of(figure)


def test_tokens_per_fact_counts_only_documents_that_tell_one(tmp_path):
    tokenizer = train_tokenizer(["a b c d e f " * 20], 276, tmp_path / "t.model")
    text = "a b c"
    tokens = len(tokenizer.encode(text))
    documents = [{"lang": "en", "text": text, "facts": ["f-1", "f-2"]},
                 {"lang": "en", "text": text, "facts": []},
                 {"lang": "de", "text": text, "facts": ["f-1"]}]  # fmt: skip
    costs = figures.tokens_per_fact(tokenizer, documents)
    assert costs == {"en": tokens / 2, "de": tokens}
    figure = figures.fertility(costs)
    assert [bar.get_height() for bar in figure.axes[0].patches] == [tokens / 2, tokens]
    assert "English" in texts_of(figure)


def test_mixture_draws_a_part_for_each_group():
    row = {"target": 0.5, "share": 0.5, "tokens": 10, "documents": 1, "epochs": 2.0}
    figure = figures.mixture({"english": row, "code": row})
    assert [bar.get_width() for bar in figure.axes[0].patches[:2]] == [0.5, 0.5]
    assert "code\n50.0%\n2 epochs" in texts_of(figure)
