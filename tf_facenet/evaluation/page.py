"""The pieces of a web page in a single file: it asks the network for nothing and follows the reader's light or dark."""

import base64
import html

from tf_facenet.files import atomic_write

STYLE = (
    ":root{color-scheme:light dark;--line:#8885}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "h1,h3,td:last-child,figcaption{overflow-wrap:anywhere}h1{font-size:1.6em}h2{margin-top:2em;font-weight:500}"
    "td{padding:.15em 1.2em .15em 0;vertical-align:top}td:first-child{white-space:nowrap}"
    "tr.odd td:first-child{font-weight:700}"
    "tr.odd td:first-child:before{content:'⚠ '}img{max-width:100%}"
    ".grid{display:flex;flex-wrap:wrap;gap:.8em}figure{margin:0;width:6.6em}figure img{width:100%;display:block}"
    "figcaption{font-size:.75em;line-height:1.3}.pairs figure{width:11em}"
    ".drawing svg{width:100%;height:auto}.drawings{display:flex;flex-wrap:wrap;gap:1em}"
    ".drawings .drawing{flex:1 1 24em}.drawing text{fill:currentColor}summary{cursor:pointer}"
    ".group{border:1px solid var(--line);border-radius:.4em;padding:.6em;margin:.6em 0}")


def write_page(path, title, parts):
    """Write a page.

    Args:
        path: file to write.
        title: plain text.
        parts: pieces of HTML, made by the functions below.

    Raises:
        OSError: the file cannot be written.
    """
    page = (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>{as_html(title)}</title><style>{STYLE}</style><h1>{as_html(title)}</h1>{''.join(parts)}</html>\n")
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def as_html(text):
    """Text as HTML."""
    return html.escape(printable(text))


def printable(text):
    """Text on one line, whatever a file name has; line breaks and bytes that are not UTF-8 become question marks."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def table(rows):
    """Rows of (label, text, whether it is odd), or of (label, text)."""
    cells = (f"<tr{' class=odd' * any(odd)}><td>{as_html(label)}<td>{as_html(text)}" for label, text, *odd in rows)
    return f"<table>{''.join(cells)}</table>"


def picture(content, caption, kind="png"):
    """An image file's bytes as an element with a description."""
    data = base64.b64encode(content).decode()
    return f'<img alt="{as_html(caption)}" src="data:image/{kind};base64,{data}">'


def drawing(svg):
    """A drawing that matplotlib made, in the reader's own dark or light."""
    element = svg[svg.index("<svg"):]
    for ink in ("#000000", "#444444"):
        element = element.replace(ink, "currentColor")
    return f"<div class=drawing>{element}</div>"


def details(summary, content):
    """HTML that opens when its summary is clicked."""
    return f"<details><summary>{as_html(summary)}</summary>{content}</details>"


def grid(figures, kind="grid"):
    """(JPEG bytes, caption) side by side, as many as fit; of kind "grid" or, twice as wide, "grid pairs"."""
    return f"<div class='{kind}'>" + "".join(
        f"<figure>{picture(content, caption, 'jpeg')}<figcaption>{as_html(caption)}</figcaption></figure>"
        for content, caption in figures) + "</div>"
