"""The report as an HTML page."""

import html

from symnet.function.explain.parts import Report, lines_text, steps_text


def page(report: Report) -> str:
    """A self-contained page."""
    return (
        f"<!doctype html><meta charset=utf-8><title>{report.facts.name}</title>{fragment(report)}"
    )


def fragment(report: Report) -> str:
    """The page's content, for notebooks."""
    return f"<pre>{html.escape(chr(10).join([*lines_text(report), *steps_text(report)]))}</pre>"
