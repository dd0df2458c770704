"""IJB-style verification: pairs of templates, each of several images, at very low false accept rates.

The protocol is 1:1 verification of IJB-B and IJB-C (Whitelam et al., CVPRW 2017; Maze et al., ICB 2018) as insightface
runs it (recognition/arcface_torch/eval_ijbc.py; MIT): the images of a medium (a still, or the frames of a video) are
averaged, the media of a template are added up, the sum gets norm 1, and pairs are compared by cosine. Its switches are
arguments: N `keep_norm`, D `scores`, F `mirrored`; the published results have all three. Deliberate difference: the
threshold at a false accept rate is the lowest that does not exceed the rate, where insightface takes the ROC's nearest
point on either side.

Letters: N images, M different media, T templates, P pairs, D dimensions.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from tf_facenet.evaluation.rates import allowed, can_show, limit

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
CHUNK_VALUES = 2**20  # values gathered at a time: 4 or 8 MB


@dataclass(frozen=True, eq=False)
class Report:
    """What `verify` measured.

    Attributes:
        target_fars: [K] the false accept rates that were asked for.
        tars: [K] share of same pairs accepted at each.
        fars: [K] share of different pairs accepted there, at most the target.
        thresholds: [K] cosines; pairs above are accepted.
        similarities: [P] float32, the cosine of each pair.
        same: [P] bool.
    """

    target_fars: np.ndarray
    tars: np.ndarray
    fars: np.ndarray
    thresholds: np.ndarray
    similarities: np.ndarray
    same: np.ndarray

    def lines(self):
        """A row for each false accept rate, one string a line, and which of them so many pairs cannot show."""
        different = int(np.count_nonzero(~self.same))
        hidden = [far for far in self.target_fars if not can_show(different, far)]
        return ["  target FAR        TAR        FAR  threshold"] + [
            f"{target:12.0e} {tar:10.5f} {far:10.2e} {threshold:10.4f}" for target, tar, far, threshold in
            zip(self.target_fars, self.tars, self.fars, self.thresholds, strict=True)
        ] + [limit(different, far) for far in hidden[-1:]]


def verify(features, templates, media, pairs, same, fars=FARS, **pooling):
    """Pool the images of each template and compare pairs of templates.

    Args:
        features: [N, D], not normalised, as a network gives them.
        templates: [N] int, the template of each image.
        media: [N] int, its medium; equal numbers in different templates are different media.
        pairs: [P, 2] int, templates to compare.
        same: [P] bool, whether both show one person.
        fars: false accept rates, between 0 and 1.
        pooling: `scores`, `mirrored` and `keep_norm` of `pool`.

    Returns:
        Report.

    Raises:
        ValueError: shapes do not match, values are not finite, a pair names a template without images, or all pairs are
            same or all are different.
    """
    cosines = similarities(*pool(features, templates, media, **pooling), pairs)
    return Report(np.asarray(fars, float), *rates(cosines, same, fars), cosines, np.asarray(same, bool))


def pool(features, templates, media, scores=None, mirrored=None, keep_norm=True):
    """One vector of norm 1 for each template: the sum over its media of the mean of the medium's images.

    Args:
        features: [N, D].
        templates: [N] int.
        media: [N] int.
        scores: [N] detector scores that the images are weighted with (D), or None.
        mirrored: [N, D] features of the mirrored images, which are added (F), or None.
        keep_norm: let long features count for more (N); otherwise each image's are scaled to norm 1 first.

    Returns:
        ``(names [T], vectors [T, D] float32)``, by rising number of the template.

    Raises:
        ValueError: shapes do not match, or values are not finite.
    """
    _check_images(features, templates, media, scores, mirrored)
    order = np.lexsort((media, templates))
    templates, media = np.asarray(templates)[order], np.asarray(media)[order]
    new_template = np.append(True, templates[1:] != templates[:-1])
    medium = np.cumsum(new_template | np.append(True, media[1:] != media[:-1])) - 1  # [N] number 0..M-1 of the medium
    template = np.cumsum(new_template) - 1
    share = 1 / np.bincount(medium)[medium]  # of an image in its medium
    vectors = np.zeros((template[-1] + 1, features.shape[1]))
    rows = max(1, CHUNK_VALUES // features.shape[1])
    for start in range(0, len(order), rows):
        part = slice(start, start + rows)
        images = _images(order[part], features, scores, mirrored, keep_norm) * share[part, None]
        firsts = np.flatnonzero(np.append(True, template[part][1:] != template[part][:-1]))
        vectors[template[part][firsts]] += np.add.reduceat(images, firsts)
    return templates[new_template], _unit(vectors).astype(np.float32)


def similarities(names, vectors, pairs):
    """Products [P] float32 of the vectors of pairs of templates.

    Args:
        names: [T] int, rising.
        vectors: [T, D] float32.
        pairs: [P, 2] of the names.

    Raises:
        ValueError: a pair names none of them.
    """
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"pairs have the shape {pairs.shape}; expected two templates for each, [P, 2]")
    result = np.empty(len(pairs), np.float32)
    step = max(1, CHUNK_VALUES // vectors.shape[1])
    for start in range(0, len(pairs), step):
        part = slice(start, start + step)
        left, right = _rows(names, pairs[part]).T
        np.einsum("nd,nd->n", vectors[left], vectors[right], out=result[part])
    return result


def rates(similarities, same, fars=FARS):
    """Accepted shares at false accept rates.

    Args:
        similarities: [P], higher for the same person.
        same: [P] bool.
        fars: [K].

    Returns:
        ``(tars, fars, thresholds)``, each [K]: the threshold is the lowest similarity of a different pair above which
        at most the share `far` of the different pairs lies.

    Raises:
        ValueError: shapes do not match, or there are no same or no different pairs, or a rate is not in [0, 1).
    """
    same, fars = np.asarray(same).astype(bool), np.asarray(fars, float)
    if similarities.shape != same.shape or same.all() or not same.any():
        raise ValueError(f"{len(similarities)} similarities and {np.count_nonzero(same)} same of {len(same)} pairs; "
                         "verification needs both kinds of pairs, and a similarity for each")
    if not ((fars >= 0) & (fars < 1)).all():
        raise ValueError(f"false accept rates {fars.tolist()}; expected numbers from 0 to below 1, such as 1e-4")
    of_same, of_different = np.sort(similarities[same]), np.sort(similarities[~same])
    accepted = np.array([allowed(len(of_different), far) for far in fars], int)
    thresholds = of_different[len(of_different) - 1 - accepted]
    tar, far = (1 - np.searchsorted(ordered, thresholds, side="right") / len(ordered)
                for ordered in (of_same, of_different))
    return tar, far, thresholds


def read_media(path):
    """Images of templates: IJB's `…_face_tid_mid.txt`, "1.jpg 1 69544" a line.

    Returns:
        ``(names [N] of the images, templates [N], media [N])``, a list and two int arrays.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is malformed.
    """
    columns = _columns(path, "'image template medium'", str, int, int)
    return columns[0], np.array(columns[1]), np.array(columns[2])


def read_scores(path):
    """Landmarks and detector scores: IJB's `…_name_5pts_score.txt`, a name, five x y, and a score a line.

    Returns:
        ``(names [N], landmarks [N, 5, 2], scores [N])``, a list and two float arrays.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is malformed.
    """
    names, *points, scores = _columns(path, "'image', five 'x y' and a score", str, *[float] * 11)
    return names, np.array(points).T.reshape(-1, 5, 2), np.array(scores)


def read_pairs(path):
    """Pairs of templates: IJB's `…_template_pair_label.txt`, "1 11065 1" a line.

    Returns:
        ``(pairs [P, 2] int32, same [P] bool)``.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is malformed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file: it does not have three columns
            rows = np.loadtxt(path, np.int32, comments=None, ndmin=2)
    except ValueError as error:
        raise ValueError(f"'{path}': expected 'template template label' in each line; {error}") from None
    if rows.shape[1:] != (3,) or not np.isin(rows[:, 2], (0, 1)).all():
        raise ValueError(f"'{path}': expected 'template template label' in each line, the label 0 or 1")
    return rows[:, :2], rows[:, 2] == 1


def _columns(path, form, *types):
    """Columns of a text file, as lists."""
    with open(path, encoding="utf-8") as file:
        rows = []
        for number, line in enumerate(file, start=1):
            try:
                rows.append([kind(field) for kind, field in zip(types, line.split(), strict=True)])
            except ValueError:
                raise ValueError(f"'{path}', line {number}: expected {form}, got {line.strip()[:80]!r}") from None
    if not rows:
        raise ValueError(f"'{path}' is empty; expected {form} in each line")
    return [list(column) for column in zip(*rows, strict=True)]


def _rows(names, pairs):
    """Places [P, 2] of the pairs' templates among the names [T], which rise."""
    rows = np.minimum(np.searchsorted(names, pairs), len(names) - 1)
    unknown = pairs[names[rows] != pairs]
    if len(unknown):
        raise ValueError(f"the pairs name template {unknown[0]}, of which there is no image; give the pairs that belong"
                         " to these images")
    return rows


def _images(rows, features, scores, mirrored, keep_norm):
    """Features [n, D] float64 of some images, as they are averaged."""
    images = features[rows].astype(np.float64)
    if mirrored is not None:
        images += mirrored[rows]
    if not keep_norm:
        images = _unit(images)
    return images if scores is None else images * np.asarray(scores)[rows, None]


def _unit(rows):
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def _check_images(features, templates, media, scores, mirrored):
    if features.ndim != 2 or not len(features):
        raise ValueError(f"features have the shape {features.shape}; expected one row for each image, [N, D]")
    shapes = {"templates": np.shape(templates), "media": np.shape(media)}
    shapes |= {} if scores is None else {"scores": np.shape(scores)}
    for name, shape in shapes.items():
        if shape != (len(features),):
            raise ValueError(f"{name} have the shape {shape}; expected one for each of the {len(features)} images")
    if mirrored is not None and mirrored.shape != features.shape:
        raise ValueError(f"mirrored features have the shape {mirrored.shape}; expected {features.shape} as the others")
    for name, values in {"features": features, "mirrored": mirrored, "scores": scores}.items():
        if values is not None and not np.isfinite(np.sum(values, dtype=np.float64)):
            raise ValueError(f"{name} hold NaN or infinity. Check the network and the images")
