"""The world of pictures: what is said about a picture is on it, and splits share nothing."""

from collections import Counter

import numpy as np
import pytest

from minimodels.data import pictures
from minimodels.data.pictures import ANSWERS, COLORS, COUNTS, PLACES, SHAPES, SIZE, SPLITS, Group
from minimodels.errors import UserError


def islands(flags):
    """How many connected pieces a table of bools has (four neighbors), and their sizes."""
    left = {tuple(place) for place in np.argwhere(flags)}
    sizes = []
    while left:
        waiting, size = [left.pop()], 0
        while waiting:
            y, x = waiting.pop()
            size += 1
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if near in left:
                    left.remove(near)
                    waiting.append(near)
        sizes.append(size)
    return sizes


def seen(picture, group):
    """The group of this color as it is read from the pixels alone."""
    flags = (picture.pixels == COLORS[group.color]).all(-1)
    sizes = islands(flags)
    shape = next(name for name in SHAPES if pictures.stamp(name).sum() == sizes[0])
    middle = np.argwhere(flags).mean(0) > SIZE / 2 - 0.5
    return Group(shape, group.color, COUNTS[len(sizes) - 1], PLACES[2 * middle[0] + middle[1]])


@pytest.mark.parametrize("split", SPLITS)
def test_a_picture_shows_what_its_groups_say(split):
    for picture in pictures.draw_pictures(60, 3, split):
        assert picture.pixels.shape == (SIZE, SIZE, 3) and picture.pixels.dtype == np.uint8
        assert [seen(picture, group) for group in picture.groups] == list(picture.groups)
        assert len({group.color for group in picture.groups}) == len(picture.groups)
        colors = {tuple(color) for color in picture.pixels.reshape(-1, 3).tolist()}
        assert colors == {(255,) * 3, *(COLORS[group.color] for group in picture.groups)}


def test_a_shape_is_told_by_its_pixels():
    areas = [pictures.stamp(name).sum() for name in SHAPES]
    assert len(set(areas)) == len(SHAPES)


def test_splits_share_no_group_and_cover_all():
    drawn = {
        split: {group for p in pictures.draw_pictures(2000, 0, split) for group in p.groups}
        for split in SPLITS
    }
    assert {split: len(groups) for split, groups in drawn.items()} == {
        "train": 240, "combinations": 80, "pairs": 64}  # fmt: skip
    assert len(set.union(*drawn.values())) == 4 * 6 * 4 * 4
    for kinds in [("shape", "color"), ("color", "count"), ("shape", "count"), ("count", "place")]:
        table = {split: {tuple(getattr(g, k) for k in kinds) for g in drawn[split]}
                 for split in SPLITS}  # fmt: skip
        assert table["combinations"] <= table["train"], kinds  # every pair was seen in training
        apart = table["pairs"].isdisjoint(table["train"])
        assert apart == (kinds == ("shape", "color"))


def test_questions_and_answers():
    picture = pictures.paint(
        (Group("circles", "blue", "two", "top left"), Group("squares", "pink", "one", "top right")),
        np.random.default_rng(0),
    )
    asked = {question.text: question.answer for question in pictures.questions(picture)}
    assert len(asked) == 12
    assert asked["How many circles are there?"] == "two"
    assert asked["How many pink shapes are there?"] == "one"
    assert asked["What color are the squares?"] == "pink"
    assert asked["What are the blue shapes?"] == "circles"
    assert asked["Where are the circles?"] == "top left"
    assert asked["Where are the pink shapes?"] == "top right"
    for question in pictures.questions(picture):
        assert question.answer in ANSWERS[question.kind]


def test_a_seed_gives_the_same_pictures():
    first, again, other = (pictures.draw_pictures(5, seed) for seed in (1, 1, 2))
    assert all((a.pixels == b.pixels).all() for a, b in zip(first, again, strict=True))
    assert [p.groups for p in first] == [p.groups for p in again] != [p.groups for p in other]


def test_answers_are_balanced():
    """A blind guess wins little: no answer of a kind is given much more often than another."""
    counts = {kind: Counter() for kind in ANSWERS}
    for picture in pictures.draw_pictures(1500, 1):
        for question in pictures.questions(picture):
            counts[question.kind][question.answer] += 1
    for kind, found in counts.items():
        assert len(found) == len(ANSWERS[kind])
        assert max(found.values()) < 1.5 * min(found.values()), (kind, found)


def test_how_many_groups():
    assert {len(p.groups) for p in pictures.draw_pictures(50, 0)} == {1, 2}
    assert {len(p.groups) for p in pictures.draw_pictures(50, 0, groups=(2,))} == {2}


def test_an_unknown_split_is_one_sentence():
    with pytest.raises(UserError, match="no split 'test': choose one of train, combinations"):
        pictures.draw_pictures(1, 0, "test")
