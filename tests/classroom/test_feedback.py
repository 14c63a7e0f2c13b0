"""Pages for students and for the class, and answers for a comparison: inert, offline, discreet."""

import shutil
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

import pytest

from minimodels.classroom.cohort import Cohort, Plan
from minimodels.classroom.grading.records import Verdict, file_name
from minimodels.classroom.reports import feedback, page, people, report, similarity
from minimodels.classroom.reports.tasks import tasks
from tests.classroom import graded
from tests.classroom.graded import NAMES, answers, record, records

DUE = datetime.fromisoformat("2026-12-01T23:59:00+01:00")
COHORT = Cohort("nlp", 20261, {"mean": Plan(DUE)}, per_day=0.1, days=5)
EVIL = '<script>document.title = "taken"</script><img src=x onerror=alert(1)>"\'</pre></style>'


class Page(HTMLParser):
    """The tags, attributes and text of a page; a tag left open is an error."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], ""
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if self.open[-1:] != ["style"] else ""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return graded.lab(tmp_path_factory.mktemp("lab"))


def of(lab, student, **more):
    return feedback.feedback(
        replace(record(student, 1, 2), **more), COHORT, lab, answers(record(student))
    )


def harmless(html):
    found = Page(html)
    assert not {"script", "img", "link", "iframe", "a", "form", "object"} & set(found.tags)
    wrong = {name for name in found.attributes if name.startswith(("on", "src", "href"))}
    assert not wrong and "http:" not in html and "https:" not in html and "url(" not in html
    assert page.POLICY in html
    return found


@pytest.mark.parametrize("student", NAMES)
def test_a_page_needs_nothing_and_runs_nothing(lab, student):
    found = harmless(of(lab, student))
    assert student in found.text


def test_what_a_student_writes_stays_text(lab):
    rows = (Verdict("mean", 0, 3, "fail", EVIL, (EVIL, "second")), Verdict(EVIL, 0, 2, EVIL, ""))
    html = feedback.feedback(replace(record(EVIL), verdicts=rows, notes=(EVIL,), lab=EVIL),
                             COHORT, lab, {"masked_mean": EVIL})  # fmt: skip
    found = harmless(html)
    # title (lab and name), name, sentence, answer, task, status, note
    assert found.text.count(EVIL) == 8


def test_the_control_finds_a_script():
    with pytest.raises(AssertionError):
        harmless(page.page("title", EVIL))


def test_a_page_shows_the_score_the_sentences_and_the_own_answer(lab):
    html = of(lab, "doe", submitted=graded.LATE, notes=("a cell was mended",))
    text = Page(html).text
    for words in ("Means", "doe", "of 5 points", "1 / 3", "in part", "1. The mean", "passed",
                  "Whom do you count?", "return x[mask].mean(0)", "2 days late", "80%", "2.4",
                  "a cell was mended", "v1", "c-doe", "2026-12-03 10:00"):  # fmt: skip
        assert words in text, words
    assert "20261" not in html and "k1" not in html  # neither the seed nor the hash it is in
    assert "kept.sum(0)" not in html  # nor the master's answer


def test_a_page_without_lab_or_answers_and_of_an_override(lab):
    [done] = people.overridden([record("doe")], [people.Override("doe", "mean", "", 6, "oral")])
    text = Page(feedback.feedback(done, COHORT, None, {})).text
    assert "The lab as a whole" in text and "+1" in text and "oral" in text
    waiting = replace(done, verdicts=(Verdict("essay", 0, 4, "ungraded", ""),))
    assert "4 of the points wait" in Page(feedback.feedback(waiting, COHORT, lab, {})).text


def test_each_student_has_one_page_and_old_ones_go(lab, tmp_path):
    (tmp_path / "feedback" / "mean").mkdir(parents=True)
    (tmp_path / "feedback" / "mean" / "gone.html").write_text("old", encoding="utf-8")
    feedback.write(tmp_path, records(), COHORT, {"mean": lab}, answers)
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert set(pages) == {f"{file_name(name)}.html" for name in NAMES}
    for name in NAMES:
        text = Page(pages[f"{file_name(name)}.html"]).text
        others = [other for other in NAMES if other != name]
        assert not [other for other in others if other in text]


def test_the_report_for_the_class_names_nobody(lab):
    html = report.report(records(), COHORT, {"mean": lab})
    text = harmless(html).text
    assert not [name for name in NAMES if name in text]
    assert "10 submissions" in text and "1 submission to look at" in text
    assert "=2+3 was mended" not in text
    assert text.index("1. The mean53%") < text.index("1. The mean · scale80%")  # the hardest first


def test_the_report_for_the_lecturer_names_whom_to_look_at(lab):
    text = harmless(report.report(records(), COHORT, {"mean": lab}, names=True)).text
    assert "=cmd()" in text and "=2+3 was mended" in text and "the process ended" in text
    assert "Zoë" not in text


def test_sentences_that_differ_in_numbers_are_one():
    said = ["off (largest error 0.83 at [0, 1, 3])", "off (largest error 8.1e-01 at [0, 1, 2])",
            "off (largest error nan at [-4])", "name 'jane_doe_7x' is not defined"]  # fmt: skip
    made = [replace(record(str(index)), verdicts=(Verdict("mean", 0, 3, "fail", words),))
            for index, words in enumerate(said)]  # fmt: skip
    assert report.common(made) == {"mean": [("off (largest error … at […, …, …])", 2)]}


def test_the_scores_are_counted_in_tenths():
    html = report._histogram([0.0, 0.05, 0.5, 1.0, 1.2])
    assert "2, 0, 0, 0, 0, 1, 0, 0, 0, 2" in html


def test_answers_without_comments_docstrings_and_layout(lab, tmp_path):
    one = 'def f(x):\n    """Mine."""\n    # a comment\n    return (x +\n        1)\n'
    other = "def f(x):\n\n  'Yours.'\n  return x+1 # other"
    assert (
        similarity.normalized(one)
        == similarity.normalized(other)
        == ("def f(x):\n    return x + 1\n")
    )
    assert similarity.normalized("def f(x):\n    return x + 2") != similarity.normalized(one)
    assert similarity.normalized("import torch\nx = 1", "import torch") == "x = 1\n"
    assert similarity.normalized("def f(:  \n\n  no") == "def f(:\n  no\n"
    assert similarity.normalized("(" * 5000) == "(" * 5000 + "\n"
    assert similarity.normalized('class A:\n    """Doc."""') == "class A:\n    pass\n"


def test_answers_are_written_by_task(lab, tmp_path):
    def given(one):
        if one.student == "doe":  # the answer as it was handed out
            return {"masked_mean": "def masked_mean(x, mask):\n    raise NotImplementedError()"}
        return answers(one)

    similarity.write(tmp_path, records(), {"mean": lab}, given)
    folder = tmp_path / "similarity" / "mean"
    assert sorted(path.name for path in folder.iterdir()) == ["_template", "mean", "scale"]
    assert len(list((folder / "mean").iterdir())) == 9  # an essay is no code, a stub no answer
    assert "raise NotImplementedError" in (folder / "_template" / "mean.py").read_text("utf-8")
    kept = (folder / "mean" / f"{file_name('Müller, Jörg')}.py").read_text("utf-8")
    assert "Müller" not in kept and "return x[mask].mean(0)" in kept
    assert "-bc mean/_template mean/mean" in (tmp_path / "similarity/README.txt").read_text("utf-8")
    similarity.write(tmp_path, records(), {"first": lab, "mean": lab}, given)  # nobody did "first"
    assert not (folder.parent / "first").exists()
    assert "-bc mean/_template mean/mean" in (tmp_path / "similarity/README.txt").read_text("utf-8")


def test_tasks_of_a_lab(lab):
    found = tasks(lab)
    assert [(task.name, task.title, task.by_hand) for task in found.values()] == [
        ("mean", "1. The mean", False), ("scale", "1. The mean · scale", False),
        ("essay", "3. Say why", True),
    ]  # fmt: skip
    assert [task.answers for task in found.values()] == [("masked_mean",), ("scaled",), ("essay",)]


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_browser_shows_the_page_and_runs_none_of_it(lab, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    html = feedback.feedback(record(EVIL, 1, notes=(EVIL,)), COHORT, lab, {"masked_mean": EVIL})
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=shutil.which("chromium"),
                                        args=["--no-sandbox"])  # fmt: skip
        shown = browser.new_page(viewport={"width": 360, "height": 640}, color_scheme="dark")
        asked = []
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto((tmp_path / "page.html").as_uri())
        assert "taken" in shown.title() and shown.title().startswith("mean: <script>")
        assert len(asked) == 1 and shown.locator("img, script").count() == 0
        width = shown.evaluate("document.documentElement.scrollWidth")
        dark = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.close()
    assert width <= 360 and dark == "rgb(23, 25, 28)"
