"""What the two experiments on positions and blanks measure, on models that were not trained."""

import pytest
import torch

from minimodels.architecture import position_figures as figures
from minimodels.architecture.blanks import NO_TARGET
from minimodels.experiments import blanks
from minimodels.experiments import extrapolation as ex


@pytest.fixture(scope="module")
def data():
    return blanks.texts(people=5)


@pytest.mark.parametrize("scheme", ex.SCHEMES)
@torch.no_grad()
def test_a_reader_is_causal_and_a_window_ends(scheme):
    torch.manual_seed(0)
    model = ex.Reader(scheme)
    tokens = torch.randint(256, (1, 40), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[0, 20] = (changed[0, 20] + 1) % 256
    moved = (model(changed) - model(tokens)).abs().amax(-1)[0] > 1e-6
    assert not moved[:20].any() and moved[20:].all()
    moved = (model(changed, 5) - model(tokens, 5)).abs().amax(-1)[0] > 1e-6
    assert moved[20:29].all() and not moved[29:].any()  # two layers: twice four tokens on


@torch.no_grad()
def test_schemes_begin_alike_and_differ():
    models = []
    for scheme in ex.SCHEMES:
        torch.manual_seed(0)
        models.append(ex.Reader(scheme))
    tokens = torch.arange(30)[None]
    first = models[0].state_dict()
    for model in models[1:]:
        assert all(torch.equal(first[name], w) for name, w in model.state_dict().items())
        assert (model(tokens) - models[0](tokens)).abs().max() > 1e-3


def test_recut_is_the_same_text_in_pieces():
    """Within the first piece nothing differs; later bytes see 16 to 32 bytes, by hand here."""
    torch.manual_seed(0)
    model = ex.Reader("rope")
    whole = ex.by_position(model, 64, texts=4)
    cut = ex.recut(model, 64, trained=32, texts=4)
    assert whole.shape == cut.shape == (4, 64)
    assert (whole[:, :32] - cut[:, :32]).abs().max() < 1e-5
    texts = ex.held_out(64, 4)
    piece = ex.nats(model, texts[:, 16:49]).detach()  # bytes 16 to 48
    assert (cut[:, 32:48] - piece[:, 16:]).abs().max() < 1e-5
    assert (whole[:, 32:] - cut[:, 32:]).abs().max() > 1e-3


def test_a_little_training_learns():
    torch.manual_seed(0)
    before = ex.by_position(ex.Reader("alibi"), 16, texts=8).mean()
    after = ex.by_position(ex.trained("alibi", steps=30, length=16), 16, texts=8).mean()
    assert after < before - 1


def test_sentences_of_the_test_are_new(data):
    seen = {tuple(one) for one in data.train}
    assert not any(tuple(one) in seen for one in data.test)
    assert all(one[0] == blanks.FIRST and len(one) <= blanks.LENGTH for one in data.train)
    assert data.spell(data.test[0][1:]).endswith((".", "!"))


@pytest.mark.parametrize("kind", blanks.KINDS)
def test_a_blank_is_not_seen(kind, data):
    """Another word in the blank changes nothing: the answer comes from the rest of the text."""
    model = blanks.network(len(data.words)).eval()
    for text, place in list(zip(data.test, blanks.places(data), strict=True))[:5]:
        other = list(text)
        other[place] = 7 if text[place] != 7 else 8
        assert blanks.fill(model, kind, text, place) == blanks.fill(model, kind, other, place)
        assert blanks.tried(model, text, place) == blanks.tried(model, other, place)


@pytest.mark.parametrize("kind", blanks.KINDS)
def test_no_target_is_read(kind, data):
    """The state from which a word is predicted does not depend on that word."""
    model = blanks.network(len(data.words)).eval()
    batch = blanks.batch_of(kind, data.train[:8], torch.Generator().manual_seed(0))
    asked = batch["targets"] != NO_TARGET
    assert asked.any(1).sum() > 5
    x = model.embed_tokens(batch["tokens"]).detach().requires_grad_()
    hook = model.embed_tokens.register_forward_hook(lambda *_: x)
    states = blanks.states(model, batch)
    hook.remove()
    row, place = map(int, asked.nonzero()[3])
    (gradient,) = torch.autograd.grad(states[row, place].square().sum(), x)
    read = gradient[row].abs().sum(-1) > 0  # (T,)
    assert read[0] and read[place]
    if kind == "encoder":
        assert batch["tokens"][row, place] == blanks.MARKS.mask and read[: place + 2].all()
    else:  # the next token is the target
        assert not read[place + 1 :].any()


def test_pictures():
    import matplotlib.figure

    from minimodels.architecture import masks

    shown = figures.masks({"a": masks.causal(3), "b": masks.everything(2)}, "title")
    assert [len([t for t in axes.texts if t.get_text()]) for axes in shown.axes] == [6, 4]
    curves = {"rope": [[0.0, 0.5], [0.0, 0.4]], "alibi": [[0.0, 0.0]]}
    for drawn in (figures.reading_on(curves, 32, 32, "t"), figures.waves(), figures.penalties(),
                  figures.filled({"causal": [1, 2, 3], "encoder": [4, 5, 6]}, "t")):  # fmt: skip
        assert isinstance(drawn, matplotlib.figure.Figure)
