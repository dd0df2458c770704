"""Pieces of pages: nothing of a name may become markup, and nothing may be asked of the network."""

import pytest

from tf_facenet.evaluation import page


@pytest.mark.parametrize(("text", "printable"), [
    ("a\nb\tc", "a?b?c"), ("caf\udce9", "caf?"), ("Zoë か", "Zoë か"), ("\x1b[2Jx", "?[2Jx")])
def test_printable(text, printable):
    assert page.printable(text) == printable


def test_names_do_not_become_markup(tmp_path):
    evil = "<script>alert('\"&\udce9\n</script>"
    page.write_page(tmp_path / "page.html", evil, [
        page.table([(evil, evil), ("odd", "x", True), ("fine", "x", False)]), page.picture(b"png", evil),
        page.grid([(b"jpeg", evil)])])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(&#x27;&quot;&amp;??&lt;/script&gt;") == 7
    assert "<tr class=odd><td>odd<td>x<tr><td>fine<td>x</table>" in text
    assert 'src="data:image/png;base64,cG5n"' in text
    assert 'src="data:image/jpeg;base64,anBlZw=="' in text
    assert "name=viewport" in text
    assert "color-scheme:light dark" in text
    assert "http" not in text
