"""Each lab's private checks notice nine of ten small mistakes, and the rest is explained."""

import pytest

from minimodels.classroom import lab as labs
from minimodels.classroom import mutation


@pytest.mark.nightly
@pytest.mark.parametrize("path", labs.masters(), ids=lambda path: path.stem)
def test_the_checks_notice_small_mistakes(path):
    lab = labs.load(path)
    outcomes = mutation.run(lab)
    print(mutation.report(lab, outcomes))
    wrong = mutation.problems(lab, outcomes)
    assert not wrong, "\n".join([*wrong, mutation.report(lab, outcomes)])
