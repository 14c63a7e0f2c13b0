"""The closing table of a lifecycle, and its report as one HTML file that needs nothing else."""

import base64
import html
import io
from pathlib import Path

from minimodels import files
from minimodels.lifecycle import figures
from minimodels.lifecycle.run import STAGES

HEAD = ("stage", "seconds", "what was measured", "before", "after")
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #222 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 } img { max-width: 100% }
td, th { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd }
td.n { text-align: right; font-variant-numeric: tabular-nums }
"""


def lines(results):
    """The rows of the table as text: the stage and its seconds stand in its first row."""
    for stage in STAGES:
        if stage in results:
            for i, (what, before, after) in enumerate(results[stage]["rows"]):
                name, seconds = (stage, f"{results[stage]['seconds']:.0f}") if i == 0 else ("", "")
                yield name, seconds, what, number(before), number(after)
    yield "all", f"{total(results):.0f}", "", "", ""


def total(results):
    return sum(result["seconds"] for result in results.values())


def number(value):
    """A figure with as many digits as are meant."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"


def table(results):
    """The table for a terminal."""
    rows = [HEAD, *lines(results)]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join("  ".join((cell.rjust if i in (1, 3, 4) else cell.ljust)(width)
                               for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
                     for row in rows)


def write(run, results):
    """Write reports/lifecycle.html and lifecycle.json; returns the page's path."""
    page = Path("reports") / "lifecycle.html"
    files.write_json(page.with_suffix(".json"),
                     {"model": run.model, "fact": run.sentence, "results": results})
    files.write_text(page, document(run, results))
    return page


def document(run, results):
    told = results["data"]
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>One lifecycle</title>
<style>{STYLE}</style>
<h1>From a survey of this machine to an agent</h1>
<p>{html.escape(run.model)}, {results["architecture"]["parameters"]:,} parameters, pretrained on
{told["tokens"]:,} tokens, on {html.escape(results["cluster"]["survey"]["processor"])}
with {results["cluster"]["survey"]["cores"]} cores, in {total(results):.0f} seconds.</p>
{html_table(results)}
<h2>What was learned, and when</h2>{picture(figures.learning(results["training"]),
    "Left: the loss over the steps. Right: facts known in unseen wordings, and the reader's fact.")}
<h2>One fact, nine stages</h2>{picture(figures.timeline(results),
    "A line of nine stages with a number at each.")}
<h2>Controls</h2>
<p>Chance is one in four. With an interval of 95%, the base model knows between
{number(results["evaluation"]["interval"][0])} and {number(results["evaluation"]["interval"][1])} of
{results["evaluation"]["items"]} facts. The same finetuning without pretraining answers
{number(results["finetuning"]["without_pretraining"])} of the questions;
with it, {number(results["finetuning"]["after"])}.</p></html>
"""


def html_table(results):
    head = "".join(f"<th>{cell}</th>" for cell in HEAD)
    body = "".join(f"<tr>{cells(row)}</tr>" for row in lines(results))
    return f"<table><tr>{head}</tr>{body}</table>"


def cells(row):
    """One row of the table; numbers stand right."""
    return "".join(f"<td{' class=n' if i in (1, 3, 4) else ''}>{html.escape(cell)}</td>"
                   for i, cell in enumerate(row))


def picture(figure, alt):
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'
