"""The layouts of pairs files: a table of forms and separators, of which a file has one throughout.

Sources: LFW's README (http://vis-www.cs.umass.edu/lfw/README.txt) for `name i j` and its header lines; the CSV files of
"LFW - People (Face Recognition)" on Kaggle (jessicali9530/lfw-dataset), such as matchpairsDevTest.csv and pairs.csv,
for the same with commas and column names; CALFW's and CPLFW's pairs_CALFW.txt and pairs_CPLFW.txt
(http://whdeng.cn/CALFW, http://whdeng.cn/CPLFW) for two lines a pair. Lists of two files and a label go round in many
variants.
"""

import csv
import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

IMAGE_SUFFIXES = (".jpg", ".png", ".jpeg", ".bmp", ".webp", ".gif")
SAME, DIFFERENT = "same", "different"
LABELS = (  # a file has one of these: same, different
    ("1", "0"), ("1", "-1"), ("+1", "-1"), ("1.0", "0.0"), ("true", "false"), (SAME, DIFFERENT), ("match", "mismatch"),
    ("genuine", "impostor"), ("yes", "no"))
_KNOWN = frozenset(itertools.chain(*LABELS))
_WORDS = frozenset((SAME, DIFFERENT, "match", "mismatch"))  # labels that columns are called by, too
_COLUMNS = re.compile(r"(name|image|img|file|path|photo|face|person|label|is_?same|same|match|target|pair)\w*", re.I)


def _by_number(fields):
    """LFW's two kinds of line."""
    fields = list(map(str.strip, fields))
    if len(fields) == 3:
        fields.insert(2, fields[0])
    if len(fields) != 4 or not (fields[1].isdecimal() and fields[3].isdecimal()):
        return None
    name, i, other, j = fields
    if not (name and other) or "/" in name + other or "\\" in name + other:
        return None
    return (f"{name}/{name}_{int(i):04d}", f"{other}/{other}_{int(j):04d}", SAME if name == other else DIFFERENT)


def _label_last(fields):
    if len(fields) != 3:
        return None
    left, right, label = *fields[:2], fields[2].strip().lower()
    return (left, right, label) if label in _KNOWN and _is_name(left) and _is_name(right) else None


def _label_first(fields):
    return _label_last([*fields[1:], fields[0]]) if len(fields) == 3 else None


def _two_lines(fields):
    """`file label` twice; 0 = different, any other number, such as that of a fold = same."""
    if len(fields) != 4 or fields[1].strip() != fields[3].strip() or not _is_half(fields[:2]):
        return None
    return fields[0], fields[2], SAME if int(fields[1]) else DIFFERENT


def _is_half(fields):
    return len(fields) == 2 and fields[0].lower().endswith(IMAGE_SUFFIXES) and fields[1].strip().isdecimal()


def _is_name(field):
    """Whether a field may be the name of a file rather than a number or a label."""
    return bool(field.strip()) and not field.strip().isdecimal() and field.strip().lower() not in _KNOWN


@dataclass(frozen=True)
class Form:
    """What the fields of a line, or of several lines, say.

    Attributes:
        name: what the log calls it.
        lines: that make one pair.
        parse: fields → (image, other image, label), or None if they have another form.
    """

    name: str
    lines: int
    parse: Callable


FORMS = (  # the first that fits all lines counts
    Form("LFW's 'name i j' or 'name1 i name2 j'", 1, _by_number),
    Form("'file file label'", 1, _label_last),
    Form("'label file file'", 1, _label_first),
    Form("CALFW's and CPLFW's 'file label' on two lines a pair", 2, _two_lines),
)


def _quoted(separator, line):
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return [line]


SEPARATORS = {"tabs": lambda line: line.split("\t"), "commas": functools.partial(_quoted, ","),
              "semicolons": functools.partial(_quoted, ";"), "blanks": str.split}
LAYOUTS = tuple(itertools.product(FORMS, SEPARATORS))


@dataclass(frozen=True)
class Listed:
    """What a pairs file says.

    Attributes:
        pairs: list of (image, other image, whether they show one person).
        counts: the integers of a first line such as `10 300`; [] without.
        layout: the name of the form and that of the separator.
        header: what stands before the pairs, in words.
    """

    pairs: list
    counts: list
    layout: tuple
    header: str

    def __str__(self):
        form, separator = self.layout
        return f"{len(self.pairs):,} pairs as {form}, separated by {separator}, {self.header}"


def parse(text, path):
    """What the text of a pairs file says.

    Raises:
        ValueError: a line has another layout than the others, or none; the message has its number and text.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    lines, header, counts = _without_header(lines, path)
    if not lines:
        raise ValueError(f"pairs file {str(path)!r} lists no pair after its first line. Pass a file such as LFW's "
                         "pairs.txt.")
    (form, separator), rows = _recognised(lines, path)
    same = _same([label for _, _, label in rows], lines[::form.lines], path)
    pairs = [(*row[:2], answer) for row, answer in zip(rows, same, strict=True)]
    return Listed(pairs, counts, (form.name, separator), header)


def people(text):
    """Names of the people on the images of a pairs file, in order; [] if it is none, or is as lists of people are.

    A person is called as the first folder of a path, the last of an absolute one, or as the file without its number.
    """
    try:
        listed = parse(text, "")
    except ValueError:
        return []
    images = [image for pair in listed.pairs for image in pair[:2]]
    as_people = listed.layout in ((FORMS[0].name, "tabs"), (FORMS[0].name, "blanks"))
    return list(map(_person, images)) if all(map(_is_path, images)) and not as_people else []


def _person(image):
    parts = image.replace("\\", "/").split("/")
    if len(parts) == 1:
        return re.sub(r"(_\d+)?\.\w+$", "", image)
    return parts[-2] if not parts[0] or parts[0].endswith(":") else parts[0]


def _without_header(lines, path):
    """``(lines, what their header is, its integers)``; rows of column names are left out, also of CSV files in one."""
    first = lines[0][1] if lines else ""
    counts = re.split(r"[\s,;]+", first.strip(" \t\r,;"))
    if len(counts) < 3 and all(map(str.isdecimal, counts)):
        return lines[1:], f"after the first line {first.strip()!r}", list(map(int, counts))
    columns = _columns(first)
    labels = set(re.split(r"[\s,;]+", lines[1][1].lower())) if len(lines) > 1 else set()
    if not columns or (_is_pair(columns) and labels & _WORDS):
        return lines, "without a header", []
    kept = [line for line in lines[1:] if not (columns := _columns(line[1])) or _is_pair(columns)]
    return kept, f"under the columns {first.strip()!r}", []


def _columns(line):
    """The fields of a line that names columns, or else []; "image1 image2 same" may be a pair as well."""
    for split in SEPARATORS.values():
        fields = _fields(split, line)
        names = len(fields) > 1 and not any(field.isdecimal() or _is_path(field) for field in fields)
        if names and any(_COLUMNS.fullmatch(field.strip()) for field in fields):
            return fields
    return []


def _is_pair(fields):
    return any(form.parse(fields) for form in FORMS)


def _is_path(field):
    return "/" in field or "\\" in field or field.lower().endswith(IMAGE_SUFFIXES)


def _fields(split, line):
    """Fields of a line, without empty ones at its end: Kaggle's pairs.csv ends its lines with commas."""
    fields = split(line.rstrip("\r\n"))
    while fields and not fields[-1].strip():
        fields.pop()
    return fields


def _recognised(lines, path):
    """The layout of the lines, and what they say: (image, other image, label) of each pair."""
    for layout in LAYOUTS:
        rows = list(itertools.takewhile(lambda row: row is not None, _rows(layout, lines)))
        if len(rows) * layout[0].lines >= len(lines):
            return layout, rows
    raise ValueError(_misfit(lines, path))


def _rows(layout, lines):
    form, separator = layout
    split = SEPARATORS[separator]
    for start in range(0, len(lines), form.lines):
        yield form.parse([field for _, line in lines[start : start + form.lines] for field in _fields(split, line)])


def _misfit(lines, path):
    """What is said of the first line that is not as most are; of two equally frequent layouts the earlier counts."""
    fits = [[row is not None for row in _rows(layout, lines)] for layout in LAYOUTS]
    best = max(range(len(LAYOUTS)), key=lambda at: (sum(fits[at]) * LAYOUTS[at][0].lines, *fits[at][:1]))
    form, separator = LAYOUTS[best]
    if not any(fits[best]):
        return _malformed(path, lines[0], "two images and whether they show one person, as "
                          + ", ".join(form.name for form in FORMS))
    start = fits[best].index(False) * form.lines
    part = lines[start : start + form.lines]
    odd = [line for line in part if form.lines > 1 and not _is_half(_fields(SEPARATORS[separator], line[1]))]
    return _malformed(path, (odd or part)[0], f"{form.name}, separated by {separator}, as in line "
                      f"{lines[fits[best].index(True) * form.lines][0]}")


def _same(labels, lines, path):
    """Whether the labels say that a pair shows one person; ValueError if they mix two ways to say it."""
    counts = Counter(labels)
    same, different = max(LABELS, key=lambda words: sum(counts[word] for word in words))
    for label, line in zip(labels, lines, strict=True):
        if label not in (same, different):
            raise ValueError(_malformed(path, line, f"the label {same!r} or {different!r}, as in the other lines"))
    return [label == same for label in labels]


def _malformed(path, line, expected):
    return (f"pairs file {str(path)!r}, line {line[0]}: expected {expected}, got {line[1].strip()!r:.200}. Mend or "
            "remove the line.")
