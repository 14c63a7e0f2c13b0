"""One page that needs nothing but itself: how feedback and reports look, on screen and paper.

No script, no request, no font from elsewhere; a policy in the page forbids them, so that a
message or a name that holds HTML stays text even if an escape were forgotten.
"""

import html

from minimodels.classroom.reports.tables import hidden, number

STATUS = {  # status: sign, words, tone
    "pass": ("✓", "passed", "good"),
    "partial": ("◐", "in part", "half"),
    "fail": ("○", "not yet", "none"),
    "timeout": ("○", "took too long", "none"),
    "out of memory": ("○", "out of memory", "none"),
    "crash": ("○", "ended early", "none"),
    "invalid": ("○", "could not be run", "none"),
    "ungraded": ("…", "waits for a person", "wait"),
    "marked": ("✎", "marked by a person", "good"),
    "override": ("✎", "set by a person", "good"),
}
STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #ffffff; --ink: #23262b;
  --soft: #636972; --line: #e4e1da; --code: #f5f3ee; --good: #2f7d5b; --half: #a8731a;
  --none: #b04a3a; --wait: #4a6fa5; --fill: #7fa8c9; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #17191c; --card: #1f2226;
  --ink: #e4e3df; --soft: #9aa0a8; --line: #33373d; --code: #191b1f; --good: #6fc29b;
  --half: #dcae5e; --none: #e58f7f; --wait: #8fb0de; --fill: #5d87a8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.6 ui-sans-serif, system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .25rem; font-weight: 650;
  overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 2.2rem 0 .6rem; font-weight: 600; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
.soft { color: var(--soft); font-size: .9rem; }
.score { display: flex; align-items: baseline; gap: .6rem; margin: 1.6rem 0 .4rem; }
.score b { font-size: 2.6rem; line-height: 1; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.bar { height: .5rem; border-radius: 1rem; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; border-radius: 1rem; background: var(--good); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1.1rem 1.25rem; margin: 1rem 0; }
.head { display: flex; justify-content: space-between; gap: 1rem; align-items: baseline; }
.points { white-space: nowrap; font-variant-numeric: tabular-nums; font-weight: 600; }
.good { color: var(--good); } .half { color: var(--half); }
.none { color: var(--none); } .wait { color: var(--wait); }
ul { margin: .5rem 0; padding-left: 1.2rem; } li { overflow-wrap: anywhere; margin: .25rem 0; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: .5rem;
  padding: .8rem 1rem; margin: .8rem 0 0; white-space: pre; overflow-x: auto;
  font: .85rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
table + table, p + table { margin-top: .8rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .4rem .6rem .4rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--soft); font-size: .85rem; }
td.n, th.n { text-align: right; padding-right: 1.2rem; width: 4.5rem; }
td.n, th, td.w { white-space: nowrap; overflow-wrap: normal; }
.hist { display: flex; align-items: flex-end; gap: 3px; height: 8rem; margin: 1rem 0 0; }
.hist div { flex: 1; background: var(--fill); border-radius: 3px 3px 0 0; min-height: 1px;
  position: relative; }
.hist span { position: absolute; top: -1.3rem; width: 100%; text-align: center;
  font-size: .75rem; color: var(--soft); }
.axis { display: flex; justify-content: space-between; border-top: 1px solid var(--line);
  font-size: .75rem; color: var(--soft); padding-top: .2rem; }
footer { margin-top: 2.5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
code { font: .85em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
@page { margin: 18mm; }
@media print { body { background: #fff; font-size: 11pt; } main { padding: 0; max-width: none; }
  .card { break-inside: avoid; } .bar, .bar i, .hist div { print-color-adjust: exact; }
  pre { font-size: 8.5pt; white-space: pre-wrap; overflow-wrap: anywhere; } }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, body: str, language: str = "en") -> str:
    """A whole HTML document; `title` is text, `body` is HTML."""
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def text(value: object) -> str:
    """Anything as HTML text, without characters that hide or turn what is written."""
    clean = str(value).encode("utf-8", "replace").decode("utf-8")
    return html.escape("".join(sign for sign in clean if sign in "\n\t" or not hidden(sign)))


def status(name: str) -> str:
    """A status as a sign, words and a color; the color says nothing that the words do not."""
    sign, words, tone = STATUS.get(name, ("·", name, "wait"))
    return f'<span class="{tone}">{sign} {text(words)}</span>'


def bar(share: float) -> str:
    """A bar that is filled to `share`."""
    percent = number(100 * min(1.0, max(0.0, share)))
    return f'<div class="bar" role="presentation"><i style="width:{percent}%"></i></div>'


def table(columns: list[str], rows: list[list[str]], kinds: str) -> str:
    """A table of HTML cells. `kinds` has a letter for each column: `n` for numbers, at the right,
    `w` for words that stay in one line, `-` for text."""

    def cells(tag: str, row: list[str]) -> str:
        pairs = zip(kinds, row, strict=True)
        return "".join(f'<{tag} class="{kind}">{each}</{tag}>' for kind, each in pairs)

    lines = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    return f"<table><thead><tr>{cells('th', columns)}</tr></thead>\n<tbody>{lines}</tbody></table>"
