"""Pieces of a self-contained HTML page: nothing in it is fetched from anywhere."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

DASH = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """text: escaped when written. style: a class of page.css."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table. style: `strong`, `rule`."""

    cells: Sequence[Cell | str]
    style: str = ""


def document(title: str, sections: Sequence[str]) -> str:
    """The whole page. sections: HTML."""
    css = files("evaluation").joinpath("page.css").read_text(encoding="utf-8")
    body = "\n".join(sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{css}</style>
</head>
<body>
{body}
</body>
</html>
"""


def section(title: str, *parts: str) -> str:
    """A heading and what follows it; nothing where there is nothing to follow."""
    content = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def paragraph(text: str, quiet: bool = False) -> str:
    return f'<p class="quiet">{escape(text)}</p>' if quiet else f"<p>{escape(text)}</p>"


def table(heads: Sequence[str], rows: Sequence[Row], groups: Sequence[tuple[str, int]] = ()) -> str:
    """heads: of columns; one that ends in `:` is of words, left-aligned. groups: (name, columns) above."""
    words = [head.endswith(":") for head in heads]
    above = "".join(f'<th class="group" colspan="{span}">{escape(name)}</th>' for name, span in groups)
    head = "".join(
        _element("th", "text" if text else "", escape(name.removesuffix(":")))
        for name, text in zip(heads, words, strict=True)
    )
    top = f"<tr>{above}</tr>" if groups else ""
    body = "\n".join(_element("tr", row.style, _cells(row, words)) for row in rows)
    return (
        f'<div class="wide"><table>\n<thead>{top}<tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _cells(row: Row, words: Sequence[bool]) -> str:
    cells = (Cell(cell) if isinstance(cell, str) else cell for cell in row.cells)
    return "".join(
        _element("td", f"{'text ' if text else ''}{cell.style}".strip(), escape(cell.text))
        for cell, text in zip(cells, words, strict=True)
    )


def _element(name: str, style: str, content: str) -> str:
    opening = f'<{name} class="{style}">' if style else f"<{name}>"
    return f"{opening}{content}</{name}>"


def picture(svg: str, alt: str, caption: str = "") -> str:
    """An SVG as an image of its own, so that no two pictures share names."""
    data = base64.b64encode(svg.encode()).decode()
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    source = f"data:image/svg+xml;base64,{data}"
    return f'<figure><img alt="{escape(alt, quote=True)}" src="{source}">{below}</figure>'


def cards(items: Sequence[tuple[str, str]]) -> str:
    """(figure, what it is)"""
    inner = "".join(f'<div class="card"><b>{escape(b)}</b><span>{escape(s)}</span></div>' for b, s in items)
    return f'<div class="cards">{inner}</div>'


def definitions(items: Sequence[tuple[str, str]]) -> str:
    """(term, meaning)"""
    inner = "".join(f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in items)
    return f"<dl>{inner}</dl>"


def number(value: float | None, digits: int = 3) -> str:
    return DASH if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{value * 100:.{digits}f} %"
