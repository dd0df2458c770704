"""insightface's verification sets, such as lfw.bin, cfp_fp.bin and agedb_30.bin.

A set is a pickle of (images, answers), where images 2i and 2i + 1 are pair i and the answer says whether they show one
person (insightface, recognition/arcface_torch/eval/verification.py `load_bin`; MIT). An image is an encoded file, of
112x112 pixels in the published sets, as bytes or as a NumPy array of them. Python 2 and 3 have written such files, with
NumPy 1 and 2. Python's unpickler does not see them: `safe_pickle` builds lists of bytes, and small stand-ins take the
place of NumPy's objects.
"""

import math
import pickle
from pathlib import Path

import numpy as np

from tf_facenet import safe_pickle
from tf_facenet.data import headers
from tf_facenet.data.pairs import Pairs
from tf_facenet.data.samples import read
from tf_facenet.files import atomic_write

PROTOCOL = 4  # Python 3.4 and later read it


def read_bin(path, num_folds=10):
    """The pairs of a verification set; the encoded images stay as they are, in memory.

    Args:
        path: file as insightface or `write_bin` writes it.
        num_folds: contiguous folds of scikit-learn's KFold sizes, as insightface takes them.

    Returns:
        `Pairs` whose images are bytes.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, holds anything but images and answers, or these do not fit each other.
    """
    path = Path(path).expanduser()
    with open(path, "rb") as file:
        try:
            images, answers = _two_lists(safe_pickle.load(file, _GLOBALS))
            same = np.array([_answer(number, answer) for number, answer in enumerate(answers)], bool)
            if len(images) != 2 * len(same) or not len(same):
                raise ValueError(f"holds {len(images)} images and {len(same)} answers; expected two images for each "
                                 "answer, and at least one")
            encoded = np.empty(len(images), object)
            for number, image in enumerate(images):
                encoded[number] = _encoded(number, image)
        except ValueError as error:
            raise ValueError(f"verification set '{path}': {error}. Give a file such as insightface's lfw.bin, or write "
                             "one with tf-facenet records bin") from None
    return Pairs(encoded, same, np.sort(np.arange(len(same)) % num_folds), [], name=path.stem)


def write_bin(path, pairs):
    """Write pairs as a verification set that insightface's tools read too; the images stay as they are.

    Args:
        path: file to write, whole or not at all.
        pairs: `Pairs`.

    Raises:
        OSError: an image cannot be read, or the file cannot be written.
        ValueError: an image is none; the message names it.
    """
    contents = {image: _content(image) for image in set(pairs.images)}
    value = [contents[image] for image in pairs.images], pairs.same.tolist()
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        pickle.dump(value, file, PROTOCOL)


def _content(image):
    content = read(image)
    if fault := headers.fault(content):
        raise ValueError(f"'{image!s:.200}' is no image: {fault}. Replace it, or take its pairs out of the pairs file")
    return content


def _two_lists(value):
    if not (isinstance(value, (tuple, list)) and len(value) == 2):
        raise ValueError("holds no pair of images and answers")
    images, answers = value
    if isinstance(answers, _Array):
        answers = [byte == 1 for byte in answers.content("b1")]
    if not (isinstance(images, (tuple, list)) and isinstance(answers, (tuple, list))):
        raise ValueError(f"holds a {type(images).__name__} and a {type(answers).__name__}; expected a list of images "
                         "and a list of answers")
    return images, answers


def _answer(number, answer):
    if not isinstance(answer, bool):
        raise ValueError(f"answer {number} is a value of type {type(answer).__name__}; expected true or false")
    return answer


def _encoded(number, image):
    try:
        if isinstance(image, _Array):
            image = image.content("u1")
        fault = headers.fault(image) if isinstance(image, bytes) else f"a value of type {type(image).__name__}"
    except ValueError as error:
        fault = error
    if fault:
        raise ValueError(f"image {number} is no encoded image: {fault}")
    return image


class _Array:
    """Stands for a NumPy array while a pickle is read."""

    def __init__(self, data=b"", kind=None, shape=(), *_):
        self.data, self.kind, self.shape = data, kind, shape

    def __setstate__(self, state):
        _version, self.shape, self.kind, _fortran, self.data = state

    def content(self, code):
        """Its bytes, if it holds values of one byte with this code, as many as its shape says."""
        if not (isinstance(self.kind, _Kind) and isinstance(self.data, (bytes, bytearray))
                and isinstance(self.shape, tuple) and all(isinstance(size, int) for size in self.shape)):
            raise ValueError("an array that is not complete")
        if self.kind.code != code:
            raise ValueError(f"an array of {self.kind.code:.20} instead of {code}")
        if len(self.shape) > 2 or math.prod(self.shape) != len(self.data):
            raise ValueError(f"an array of {len(self.data)} bytes that do not fit its shape")
        return bytes(self.data)


class _Kind:
    """Stands for a NumPy dtype; what it says beside its code does not matter for values of one byte."""

    def __init__(self, code, *_):
        self.code = code.decode("ascii") if isinstance(code, bytes) else str.strip(code)

    def __setstate__(self, state):
        pass


def _scalar(kind, data):
    """A NumPy bool."""
    if not (isinstance(kind, _Kind) and kind.code == "b1"):
        raise ValueError("a number where true or false was expected")
    return data == b"\x01"


def _encode(text, _encoding):
    """Python 3 writes bytes as text for Python 2's sake."""
    return text.encode("latin-1")


_GLOBALS = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _encode,
}
for _core in ("numpy.core", "numpy._core"):
    _GLOBALS |= {
        (f"{_core}.multiarray", "_reconstruct"): lambda *_: _Array(),
        (f"{_core}.multiarray", "scalar"): _scalar,
        (f"{_core}.numeric", "_frombuffer"): _Array,
    }
