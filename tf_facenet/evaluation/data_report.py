"""What was found in a data set, as lines of text, as JSON and as a page with faces."""

import cv2
import numpy as np

from tf_facenet.align.placement import describe
from tf_facenet.data.check import sample_name
from tf_facenet.data.survey import Fact, alike_names, image_facts, people_facts, pixels
from tf_facenet.evaluation import page

_PEOPLE, _IMAGES, _GROUPS, _NAMES = 8, 8, 12, 200  # shown at most
_THUMBNAIL = 112  # pixels


def facts(found, placement):
    """All facts about a data set.

    Args:
        found: `survey.Survey`.
        placement: `placement.Placement`, or a text that says why there is none.

    Returns:
        List of `survey.Fact`.
    """
    listed = people_facts(found.faces) + image_facts(found)
    if isinstance(placement, str):
        return [*listed, Fact("alignment", placement)]
    listed.append(Fact("alignment", *placement.verdict()))
    if placement.found:
        listed.append(Fact("landmarks", f"of {placement.found} faces: {describe(placement)}"))
    return listed


def lines(listed):
    """Facts as aligned lines; odd ones begin with an exclamation mark."""
    width = max(len(fact.label) for fact in listed)
    return [f"{'!' if fact.odd else ' '} {fact.label:{width}}  {page.printable(fact.text)}" for fact in listed]


def to_json(found, placement):
    """The same as plain values that JSON holds."""
    faces = found.faces
    counts = np.bincount(faces.labels, minlength=faces.num_classes)
    sizes, often = np.unique(found.sizes, axis=0, return_counts=True)

    def names(groups):
        return [[sample_name(faces, row) for row in rows] for rows in groups]

    return {
        "people": faces.num_classes, "images": len(faces), "readable": len(found.rows),
        "images_per_person": {"min": int(counts.min()), "median": float(np.median(counts)), "max": int(counts.max())},
        "people_with_one_image": int(np.sum(counts == 1)), "people_without_image": int(np.sum(counts == 0)),
        "alike_names": alike_names(faces.names), "unreadable": [list(pair) for pair in found.bad],
        "sizes": [[*map(int, size), int(count)] for size, count in zip(sizes, often, strict=True)],
        "duplicates": names(found.repeated), "duplicates_across_people": names(found.mixed),
        "mean": found.mean.tolist(), "std": found.std.tolist(), "grey": float(found.grey),
        "alignment": {"skipped": placement} if isinstance(placement, str) else {
            "looked_at": placement.looked_at, "found": placement.found, "template": placement.template,
            "verdict": placement.verdict()[0],
            **({"mean": placement.mean.tolist(), "scatter": placement.scatter.tolist()} if placement.found else {})},
    }


def write_report(path, title, found, listed, seed=0):
    """Write a page with facts and faces.

    Args:
        path: file to write.
        title: its title.
        found: `survey.Survey`.
        listed: what `facts` gives.
        seed: seed of the people shown.

    Raises:
        OSError: the file cannot be written.
    """
    parts = [page.table((fact.label, fact.text, fact.odd) for fact in listed), *_people(found, seed),
             *_copies(found, "Copies under different people: some are labelled wrongly", found.mixed),
             *_copies(found, "Copies under one person", found.repeated), *_smallest(found), *_unreadable(found)]
    page.write_page(path, title, parts)


def _people(found, seed):
    labels = found.faces.labels[found.rows]
    people = np.unique(labels)
    shown = np.random.default_rng(seed).permutation(people)[:_PEOPLE]
    yield "<h2>Some of the people</h2>"
    for label in np.sort(shown):
        rows = found.rows[labels == label]
        yield f"<h3>{page.as_html(found.faces.names[label])} ({len(rows)})</h3>"
        yield _faces(found, rows[:_IMAGES], by_person=False)


def _copies(found, title, groups):
    if groups:
        yield f"<h2>{title}</h2>{_more(groups, _GROUPS, 'groups')}"
    for rows in groups[:_GROUPS]:
        yield f"<div class=group>{_faces(found, rows[:_IMAGES])}</div>"


def _smallest(found):
    areas = found.sizes.prod(axis=1, dtype=np.int64)
    if areas.min() < areas.max():
        yield "<h2>Smallest images</h2>" + _faces(found, found.rows[np.argsort(areas, kind="stable")[:_GROUPS]])


def _unreadable(found):
    if found.bad:
        yield f"<h2>Unreadable</h2>{_more(found.bad, _NAMES, 'files')}{page.table(found.bad[:_NAMES])}"


def _more(things, most, what):
    return f"<p>{most} of {len(things):,} {what}:</p>" if len(things) > most else ""


def _faces(found, rows, by_person=True):
    return page.grid(_thumbnail(found, row, by_person) for row in rows)


def _thumbnail(found, row, by_person):
    image = pixels(found.faces, row)
    height, width = image.shape[:2]
    factor = min(_THUMBNAIL / max(height, width), 1)
    size = [max(round(side * factor), 1) for side in (width, height)]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)[:, :, ::-1]
    name = sample_name(found.faces, row).replace("\\", "/").rpartition("/")[2]
    person = f"{found.faces.names[found.faces.labels[row]]}: " * by_person
    return cv2.imencode(".jpg", small)[1].tobytes(), f"{person}{name}, {width}x{height}"
