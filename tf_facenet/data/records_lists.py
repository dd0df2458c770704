"""The list beside a record file, `train.lst`: how people are called, and where `unpack` puts their images.

It has one of two forms. im2rec's (MXNet, tools/im2rec.py; Apache 2.0), which `packing` writes too, is
key<TAB>label<TAB>path below a folder, perhaps with more labels before the path. insightface's published sets have
face2rec2's input (insightface, recognition/common/face2rec2.py; MIT): flag<TAB>path<TAB>label, perhaps with more
behind, with the paths of its author's machine and without keys.
"""

import logging
import os
import re
from collections import Counter
from pathlib import Path

from tf_facenet.data.lines import each_line, unescaped

_FACE2REC2 = re.compile(r"\d+\t[^\t]*[^\t\d.e+-][^\t]*\t\d+(\.\d+)?(\t.*)?")

logger = logging.getLogger(__name__)


def paths(path):
    """Key → path of the image below a folder; {} for face2rec2's form, or if there is no such file.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is something else, its path leads out of the folder, or a key occurs twice.
    """
    listed = {}
    for number, line in enumerate(each_line(path) if os.path.isfile(path) else (), 1):
        if number == 1 and _FACE2REC2.fullmatch(line):
            logger.warning("%s gives no places for images: it has the paths that they had where it was made, not their "
                           "keys", path)
            return {}
        key, name = line.split("\t")[0], unescaped(line.rpartition("\t")[2])
        if line.count("\t") < 2 or not key.isdecimal() or not stays_inside(name):
            raise ValueError(f"{path}, line {number}: expected a key, a label and a path below a folder, found "
                             f"{line!r:.200}. Mend or remove it")
        if int(key) in listed:
            raise ValueError(f"{path}, line {number}: key {key} occurs twice. Mend or remove it")
        listed[int(key)] = name
    return listed


def people(path, counts):
    """How people are called, by the folders of their images: the first below the common folder, or the last.

    Args:
        path: of the list.
        counts: label → number of its images in the record file.

    Returns:
        Label → name; {} if the list does not fit: a label is missing or has fewer lines than images, or labels and
        folders are not one to one.

    Raises:
        OSError: it cannot be read.
    """
    try:
        found = _folders(path)
    except (ValueError, IndexError, OverflowError):  # no list of either form
        return {}
    lines = Counter()
    for (label, _), number in found.items():
        lines[label] += number
    if all(lines[label] >= number for label, number in counts.items()):
        for place in (0, -1):
            pairs = {(label, folders[place]) for label, folders in found}
            names = dict(pairs)
            if len(pairs) == len(names) == len(set(names.values())) and stays_inside("/".join(names.values())):
                return names
    return {}


def _folders(path):
    """Number of lines for each (label, folders of the image); of an absolute path only the last folder."""
    lines, published = Counter(), None
    for line in each_line(path):
        if published is None:
            published = bool(_FACE2REC2.fullmatch(line))
        fields = line.split("\t")
        label, image = (fields[2], fields[1]) if published else (fields[1], fields[2:][-1])
        image = image if "/" in image else image.replace("\\", "/")
        lines[label, image.rpartition("/")[0]] += 1
    found = Counter()
    for (label, folder), number in lines.items():
        parts = [part for part in folder.split("/") if part]
        parts = parts[-1:] if folder.startswith("/") or ":" in parts[0] else parts
        found[int(float(label)), tuple(map(unescaped, parts))] += number
    return found


def stays_inside(path):
    """Whether a path lies below the folder that it is relative to."""
    path = Path(path)
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in str(path)
