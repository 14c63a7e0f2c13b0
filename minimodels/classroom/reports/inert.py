"""What a student wrote in Markdown, as HTML that shows and does not act.

nbgrader's pages put a student's HTML into the page of the person who marks it, where a script
could give marks. `nbgrader_config.py` names `shown` as the last filter before the page, so that
only formatting passes. Pictures are left out: to load one tells its owner who looks when.
"""

TAGS = frozenset(
    "p br hr h1 h2 h3 h4 h5 h6 ul ol li em strong b i u s del sub sup blockquote a code pre span "
    "div table thead tbody tr th td dl dt dd".split()
)
ATTRIBUTES = {"a": ["href", "title"], "th": ["align"], "td": ["align"], "*": ["class"]}


def shown(html: str) -> str:
    """HTML with formatting and links of http, https and mailto alone."""
    import bleach
    from nbconvert.filters import strip_files_prefix

    return bleach.clean(strip_files_prefix(html), tags=TAGS, attributes=ATTRIBUTES, strip=True)
