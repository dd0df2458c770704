"""Writing record files as insightface has them, from any faces; and the way back to a folder."""

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from tf_facenet import data
from tf_facenet.data import headers, records, records_lists
from tf_facenet.data.faces import Faces
from tf_facenet.data.lines import escaped, write_lines
from tf_facenet.data.people import composed
from tf_facenet.data.recordio import RecordFile, RecordWriter
from tf_facenet.data.samples import Samples, read
from tf_facenet.files import atomic_folder, atomic_write, check_replaceable
from tf_facenet.progress import Progress

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "WebP": ".webp",
             "TIFF": ".tif", "PBM": ".pbm", "PGM": ".pgm", "PPM": ".ppm"}


def pack(source, out, quiet=False):
    """Write a folder of people, or whatever else `data.load` takes, as a record file; the images stay as they are.

    Args:
        source: see `data.load`. The images' paths in a folder are noted in `train.lst`.
        out: folder to write `train.rec` and its companions to.
        quiet: no progress bar.

    Returns:
        The `Faces` that were written.

    Raises:
        OSError: something cannot be read or written.
        ValueError: see `data.load` and `write`.
    """
    faces, root = data.load(source), os.path.expanduser(os.fspath(source))
    paths = None
    if os.path.isdir(root) and not isinstance(faces.samples, Samples):
        paths = [Path(os.path.relpath(sample, root)).as_posix() for sample in faces.samples]
    write(faces, out, paths, quiet)
    return faces


def merge(sources, out, dedupe=False, quiet=False):
    """Write several sets as one record file.

    Args:
        sources: what `data.load` takes.
        out: folder to write to.
        dedupe: people of equal names are one; otherwise the later one's name gets a number.
        quiet: no progress bar.

    Returns:
        The `Faces` that were written.

    Raises:
        OSError: something cannot be read or written.
        ValueError: see `data.load` and `write`, or people shall be joined that have numbers instead of names.
    """
    sources = data.single_paths(sources)
    parts = [data.load(source) for source in sources]
    faces = Faces.join(parts)
    if dedupe:
        for source, part in zip(sources, parts, strict=True):
            file = records.record_file(source)
            named = not file or os.path.exists(records.companion(file, "names.txt"))
            if not named and all(map(str.isdecimal, part.names)):
                raise ValueError(f"--dedupe needs the names of people, and {file} has neither names.txt nor a list "
                                 f"{Path(file).stem}.lst with them beside it. Write names.txt, a line for each label "
                                 "from 0 on, or leave out --dedupe")
        names = [composed(name) for part in parts for name in part.names]
        people = {name: number for number, name in enumerate(dict.fromkeys(names))}
        faces = Faces(faces.samples, np.array([people[name] for name in names])[faces.labels], list(people))
    write(faces, out, quiet=quiet)
    return faces


def write(faces, out, paths=None, quiet=False):
    """Write `train.rec`, `.idx`, `property`, `names.txt` and, with paths, `.lst`, the images person after person.

    Layout: records 1..N are the images, N+1..N+C name the images of each person, and record 0, which comes last, names
    these; each range is two float32 (insightface's recognition/common/rec2shufrec.py and face2rec2.py; MIT).

    Args:
        faces: `Faces`.
        out: folder; none of these files may be in it.
        paths: [N] str, paths of the images below a folder.
        quiet: no progress bar.

    Raises:
        OSError: an image cannot be read, a file not be written, or one of them is there already.
        ValueError: there are more people than labels.
    """
    names = records.NAME, "train.idx", "property", "names.txt", "train.lst"
    there = [name for name in names if Path(out, name).exists()]
    if there:  # perhaps a set that somebody else has made
        raise FileExistsError(f"folder {str(out)!r} has {', '.join(there)} already. Name a new folder")
    if faces.num_classes > records.MAX_LABEL:
        raise ValueError(f"{faces.num_classes:,} people; a record file has labels for {records.MAX_LABEL:,}")
    out, order = Path(out), np.argsort(faces.labels, kind="stable")
    with ExitStack() as stack:
        files = {name: stack.enter_context(atomic_write(out / name)) for name in (names if paths else names[:-1])}
        size = _write_records(faces, order, files[records.NAME], files["train.idx"], quiet)
        files["property"].write_text(f"{faces.num_classes},{size[0]},{size[1]}\n")
        write_lines(files["names.txt"], map(escaped, faces.names))
        if paths:
            write_lines(files["train.lst"], (f"{key}\t{faces.labels[row]:f}\t{escaped(paths[row])}"
                                             for key, row in enumerate(order, 1)))


def _write_records(faces, order, path, index, quiet):
    """Returns the (height, width) of the first image that says it, or zeros."""
    size, count = (0, 0), len(faces)
    with RecordWriter(path, index) as writer, Progress(count, "Writing images", quiet) as bar:
        for key, row in enumerate(order, 1):
            image = read(faces.samples[row])
            size = size if any(size) or headers.fault(image) else headers.image_size(image)
            writer.write(key, faces.labels[row], image)
            bar.update(key)
        ends = np.cumsum(np.bincount(faces.labels, minlength=faces.num_classes)) + 1
        for person, end in enumerate(ends):
            writer.write(count + 1 + person, (ends[person - 1] if person else 1, end))
        writer.write(0, (count + 1, count + 1 + faces.num_classes), id2=1)
    return size


def unpack(path, out, quiet=False):
    """Write the images of a record file as a folder of people.

    They get the paths that `train.lst` beside it gives them (`records_lists.paths`), or else `<person>/<key>` with
    their format's suffix.

    Args:
        path: record file or its folder.
        out: folder to write; it appears when all is written.
        quiet: no progress bar.

    Returns:
        Number of images.

    Raises:
        OSError: something cannot be read or written, or the folder is not empty.
        ValueError: the file or the list is damaged, or a name leads out of the folder.
    """
    path = existing(path)
    check_replaceable(out)
    found = records.read_records(path)
    faces, keys = records.faces(found), found.keys[found.are_images].tolist()
    listed = records_lists.paths(records.companion(path, ".lst"))
    with atomic_folder(out) as folder, RecordFile(path) as file, Progress(len(faces), "Writing images", quiet) as bar:
        for done, (key, label, offset) in enumerate(zip(keys, faces.labels, faces.samples.place, strict=True), 1):
            image = file.image(offset)
            target = folder / (listed.get(key) or _numbered(path, faces.names[label], key, image))
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as new:
                new.write(image)
            bar.update(done)
    return len(faces)


def existing(path):
    """The record file that a path means; OSError if there is none."""
    file = records.record_file(path)
    if not file or not os.path.isfile(file):
        raise FileNotFoundError(f"no record file {os.fspath(path)!r}. Expected a file *.rec or the folder of one, "
                                f"such as {records.NAME}")
    return file


def _numbered(path, name, key, image):
    if "/" in name or not records_lists.stays_inside(name):
        raise ValueError(f"{records.companion(path, 'names.txt')}: a person is called {name!r}, which is no name for a "
                         "folder. Mend it")
    return f"{name}/{key:08d}{_SUFFIXES.get(headers.image_format(image[:16]), '.jpg')}"


def write_index(path):
    """Write the index of a record file that has none; the path, the file and the number of records.

    Raises:
        OSError: it cannot be read, or the index not be written.
        ValueError: it is damaged, or has an index.
    """
    path = existing(path)
    index, found = records.companion(path, ".idx"), records.read_records(path)
    if found.has_index:
        raise ValueError(f"{index} exists and is good. Nothing to do")
    with atomic_write(index) as temporary:
        write_lines(temporary, (f"{key}\t{offset}" for key, offset in zip(found.keys, found.offsets, strict=True)))
    return index, len(found.keys)
