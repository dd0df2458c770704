"""Align a whole folder of people: find the faces, cut them out and write them to a folder of the same layout.

The files and their names are those of davidsandberg/facenet (src/align/align_dataset_mtcnn.py; MIT): PNG images,
``bounding_boxes_<number>.txt``; images whose result exists are skipped, so that work goes on where it stopped, and
several processes may share it. Deliberate differences: images are decoded as everywhere in this package (upright, any
depth); files are whole or absent; folders inside a person's folder stay; images whose results would have one name keep
their suffixes; several faces of an image are numbered, and its work is done when number 0 exists.
"""

import functools
import os
import random
import signal
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2

from tf_facenet.data.folders import read_folder
from tf_facenet.data.lines import escaped
from tf_facenet.files import atomic_write

_THREADS = 4  # that encode; several images wait for a disk at once


def plan(source, target):
    """What is to be done.

    Args:
        source: folder with one sub-folder for each person.
        target: folder of the results.

    Returns:
        list of (path of an image, path of its result without a suffix).

    Raises:
        OSError: there is no such folder, or it cannot be read.
        ValueError: it has no images, or the target lies inside it.
    """
    source, target = os.path.expanduser(source), os.path.expanduser(target)
    here, there = os.path.realpath(source), os.path.realpath(target)
    if Path(there).is_relative_to(here):
        raise ValueError(f"the output folder {target!r} lies inside the input {source!r}, where its faces would be "
                         "taken for images of the next run; name a folder beside it")
    if os.path.exists(target) and not os.path.isdir(target):
        raise NotADirectoryError(f"{target!r} is a file; expected a folder for the faces, or a new name")
    if os.path.exists(os.path.join(target, "options.json")):
        raise ValueError(f"{target!r} is the folder of a training run, whose revision_info.txt and bad_files.txt would "
                         "be replaced; name a new folder")
    paths = {os.path.relpath(path, source): path for path in read_folder(source).samples}
    stems = Counter(os.path.splitext(name)[0] for name in paths)

    def result(name):
        stem = os.path.splitext(name)[0]
        return stem if stems[stem] == 1 and stem not in paths else name

    return [(path, os.path.join(target, result(name))) for name, path in paths.items()]


def todo(work, recipe):
    """The part of the work whose results do not exist."""
    return [(path, result) for path, result in work if not os.path.exists(_file(result, recipe, 0))]


def run(work, recipe, target, workers=1, set_up=None, progress=None):
    """Do the work.

    Args:
        work: list that `plan` made, in the order in which it is done.
        recipe: `recipe.Recipe`.
        target: folder for the list of boxes.
        workers: processes; 1 = this one.
        set_up: called first in each process, by its name if there are several.
        progress: called with the number of images that are done.

    Returns:
        ``(faces, bad)``: how many faces were written, and a list of (path, reason) of images without any.

    Raises:
        OSError: a face cannot be written, the detector is not installed, or a process was killed.
    """
    chunks = [work[start : start + recipe.batch_size] for start in range(0, len(work), recipe.batch_size)]
    results = _results(chunks, functools.partial(_align, recipe, target), workers, set_up)
    faces, bad, done = 0, [], 0
    for chunk, (more, failed) in zip(chunks, results, strict=True):
        faces, done = faces + more, done + len(chunk)
        bad += failed
        if progress:
            progress(done)
    return faces, bad


def _results(chunks, align, workers, set_up):
    if workers == 1:
        if set_up:
            set_up()
        yield from map(align, chunks)
        return
    # TensorFlow does not survive a fork.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(set_up,)) as pool:
        try:
            yield from pool.map(align, chunks)
        except BrokenProcessPool:
            raise OSError(f"one of {workers} processes ended, perhaps for lack of memory; run again with fewer "
                          "--workers or a smaller --batch_size, and the work goes on where it stopped") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(set_up):
    """Set up a process; Ctrl-C is for the first one, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if set_up:
        set_up()


@functools.cache
def _process(recipe, target):
    """What a process needs once: the detector and a list of boxes of its own."""
    from tf_facenet.align.detect import Detector  # which waits for TensorFlow; `plan` does not need it

    detector = Detector(recipe.min_face_size, batch_size=recipe.batch_size)
    return detector, Path(target, f"bounding_boxes_{random.SystemRandom().randrange(100_000):05d}.txt")


def _align(recipe, target, chunk):
    """Align the images of a chunk whose results do not exist; returns like `run`."""
    from tf_facenet.align import find
    from tf_facenet.data import few_at_once

    detector, list_of_boxes = _process(recipe, target)
    rows = todo(chunk, recipe)
    bad, lines, writes = [], [], []
    parts = few_at_once.decoded([path for path, _ in rows], recipe.batch_size)
    for (path, result), outcome in zip(rows, find.faces(parts, recipe, detector), strict=True):
        files = [_file(result, recipe, number) for number in range(len(outcome.faces))]
        if files:
            writes.append((files, [face for face, _ in outcome.faces]))
        else:
            bad.append((path, outcome.reason))
        lines += [f"{file} {' '.join(map(str, box))}" for file, (_, box) in zip(files, outcome.faces, strict=True)]
        lines += [_file(result, recipe, 0)] if outcome.readable and not files else []
    if lines:  # before the faces: an image that has its face is not looked at again
        _append(list_of_boxes, lines)
    with ThreadPool(_THREADS) as pool:
        pool.starmap(_write, writes)
    return sum(len(files) for files, _ in writes), bad


def _file(result, recipe, number):
    return f"{result}_{number}.png" if recipe.multiple else f"{result}.png"


def _write(files, faces):
    """Write the faces of one image, the first last, since the others are there when it is."""
    for file, face in reversed(list(zip(files, faces, strict=True))):
        encoded = cv2.imencode(".png", face[..., ::-1])[1]
        with atomic_write(file) as temporary:
            temporary.write_bytes(encoded)


def _append(path, lines):
    """Add lines to a file in one piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{escaped(line)}\n" for line in lines)
    with open(path, "ab") as file:
        file.write(os.fsencode(text))
