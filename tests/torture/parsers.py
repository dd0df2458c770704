"""Every parser of the package, with good files for it to be damaged."""

import contextlib
import csv
import io
import json

import h5py
import numpy as np

from tests import tiny, torch_files
from tests.pictures import encode, exif, picture, with_exif
from tests.torture.fuzz import Target
from tf_facenet import config
from tf_facenet.data import bins, headers, images, pairs, people, prepare
from tf_facenet.data.faces import Faces
from tf_facenet.evaluation import history
from tf_facenet.inference import metadata, model_file
from tf_facenet.inference.classifier import Classifier
from tf_facenet.inference.gallery import Gallery
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import cleaning, runs, schedules
from tf_facenet.training.checkpoints import Checkpoints
from tf_facenet.training.history import History
from tf_facenet.weights import onnx_file, tf1, torch_file

NAMES = ["Ann", "Bo", "Zoë"]


def _people(folder):
    for name in NAMES:
        (folder / name).mkdir()
        for number in (1, 2, 3):
            (folder / name / f"{name}_{number:04d}.png").write_bytes(b"")


def _write_pairs(folder):
    _people(folder)
    (folder / "pairs.txt").write_text("2\t2\nAnn\t1\t2\nBo\t1\t3\nAnn\t1\tBo\t2\nBo\t3\tZoë\t1\n"
                                      "Ann\t1\t3\nZoë\t1\t3\nAnn\t2\tZoë\t2\n")


def _write_people(folder):
    (folder / "people.txt").write_text("3\nAnn\t3\nBo 3\nZoë\nAnn/a\tBo/b\t1\n")


def _write_listed(folder):
    with open(folder / "far.csv", "w", newline="") as file:
        csv.writer(file).writerows([("image", "person"), ("a.png", "Ann"), ('b", \n.png', "Bo")])


def _read_listed(folder):
    prepare.without_listed(_faces(["a.png", "b.png", "c.png"]), str(folder / "far.csv"))


def _faces(samples):
    return Faces(np.array(samples, object), np.arange(len(samples)) % 2, ["Ann", "Bo"])


def _write_distances(folder):
    # HDF5 itself may never come back from damaged texts of variable length; these have a fixed one.
    with h5py.File(folder / "filter.hdf", "w") as file:
        file["image_list"], file["distance_to_center"] = np.bytes_(["a.png", "b.png", "c.png"]), [0.1, 0.2, 0.9]


def _read_distances(folder):
    options = SoftmaxOptions(filter_filename=str(folder / "filter.hdf"), filter_percentile=90.0)
    prepare.without_outliers(_faces(["a.png", "b.png", "c.png"]), options)


def _write_bin(folder):
    pictures = [encode(picture(6, 5, seed), kind) for seed, kind in enumerate(("PNG", "JPEG", "GIF", "BMP"))]
    images_of_pairs = np.empty(4, object)
    images_of_pairs[:] = pictures
    bins.write_bin(folder / "lfw.bin", pairs.Pairs(images_of_pairs, np.array([True, False]), np.array([0, 1]), []))


def _write_schedule(folder):
    (folder / "schedule.txt").write_text("# epoch: rate\n0: 0.05\n60: 0.005  # less\n80: 5e-4\n91: -\n")


def _write_options(folder):
    config.save(SoftmaxOptions(model_options={"depths": (2, 2)}, image_size=(112, 96)), folder / "options.json")


def _resume(folder):
    runs.resume(SoftmaxOptions(resume=str(folder), batch_size=90), {"resume", "batch_size"})


def _write_history(folder):
    columns = History.COLUMNS
    with open(folder / "history.csv", "w", newline="") as file:
        csv.writer(file).writerows([columns, *([step] + [0.5] * (len(columns) - 1) for step in (1, 2, 3))])


def _write_checkpoint(folder):
    Checkpoints(folder).save(_state(), 3, threshold=None, batches={"round": 1}, options={"seed": 1})


def _state():
    import keras

    kernel = keras.Variable(np.ones((2, 3), "float32"), name="kernel")
    seed = keras.Variable(np.array([7, 0], "int64"), dtype="int64", name="seed")
    return {"model": [kernel, seed], "optimizer": [keras.Variable(np.float32(1), name="momentum")], "average": []}


STATE = []


def _read_checkpoint(folder):
    if not STATE:
        STATE.append(_state())
    manifest = Checkpoints(folder).restore(STATE[0])
    assert isinstance(manifest["step"], int)
    for role in STATE[0].values():
        for variable in role:
            assert np.isfinite(variable.numpy()).all()


def _write_recipe(folder):
    (folder / "recipe.txt").write_text("train_softmax.py\n--head arcface  # the margin\n--scale 16 --random_flip\n"
                                       "--image_size 112x96\n")


def _read_recipe(folder):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        config.parse(SoftmaxOptions, ["--recipe", str(folder / "recipe.txt")])
    if said.getvalue():
        raise ValueError(said.getvalue())


def _write_classifier(folder):
    rows = np.eye(3, 4, dtype="float32")
    Classifier(NAMES, rows, rows, np.zeros(3, "float32"), 1.0, 0.5, "id").save(folder / "people.npz")


def _read_classifier(folder):
    classifier = Classifier.load(folder / "people.npz")
    classifier.check_model(classifier.model_id)
    if classifier.centers.shape[1] == 4:
        classes, *_ = classifier.predict(np.eye(2, 4, dtype="float32"))
        assert [classifier.names[label] for label in classes]


def _write_gallery(folder):
    Gallery(np.eye(3, 4, dtype="float32"), NAMES, "id").save(folder / "gallery")


def _read_gallery(folder):
    gallery = Gallery.load(folder / "gallery")
    gallery.check_model(gallery.model_id)
    if gallery.rows.shape[1] == 4:
        gallery.identify(np.eye(2, 4, dtype="float32"), 0.5)


def _write_dominant(folder):
    np.savez(folder / cleaning.CENTERS, centers=np.eye(3, 4, dtype="float32"), names=np.array(NAMES))


def _read_dominant(folder):
    cleaning.read_dominant(folder / cleaning.CENTERS, NAMES)


IMAGES = {
    "PNG": lambda: encode(picture(24, 20), "PNG"), "PNG with a palette": lambda: encode(picture(24, 20), "PNG", "P"),
    "JPEG": lambda: encode(picture(24, 20), "JPEG"), "GIF": lambda: encode(picture(24, 20), "GIF"),
    "JPEG, progressive": lambda: encode(picture(24, 20), "JPEG", progressive=True),
    "JPEG with EXIF": lambda: with_exif(encode(picture(24, 20), "JPEG"), exif(6, tags=(1, 2))),
    "BMP": lambda: encode(picture(24, 20), "BMP"), "WebP": lambda: encode(picture(24, 20), "WEBP"),
}


def _image_target(name):
    def read(folder):
        try:
            pixels = images.read(str(folder / "image"))
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error  # who calls names the file
        assert 0 < pixels.shape[0] * pixels.shape[1] <= headers.MAX_PIXELS

    return Target(lambda folder: (folder / "image").write_bytes(IMAGES[name]()), read, (25, 1_500))


def _write_model(folder):
    model_file.save_model(tiny.create(24, 4), folder / "model.keras", {
        "class_names": NAMES, "threshold": {"distance": "squared-L2", "value": 1.0}})


def _read_model(folder):
    from tf_facenet.inference.embedder import Embedder

    embedder = Embedder.load(folder / "model.keras")
    assert embedder.threshold is None or embedder.threshold >= 0
    assert len(embedder.image_size) == 2


def _write_metadata(folder):
    said = metadata.complete({"class_names": NAMES, "threshold": {"distance": "squared-L2", "value": 1.0},
                              "image_size": [24, 24], "embedding_size": 4, "options": {"seed": 1}})
    (folder / metadata.MEMBER).write_text(json.dumps(said))


def _read_metadata(folder):
    metadata.parse((folder / metadata.MEMBER).read_bytes(), folder)


def _write_torch(folder):
    torch_files.write_zip(folder / "zip.pt", {"conv.weight": np.ones((2, 3), "float32"), "epoch": 3})


def _write_torch_legacy(folder):
    torch_files.write_legacy(folder / "legacy.ckpt", {"net": {"conv.weight": np.ones((2, 3), "float32")}})


def _write_graph(folder):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.constant(np.ones((2, 3), "float32"), name="conv/weights")
    (folder / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())


def _write_onnx(folder):
    from onnx import helper, numpy_helper, save

    weights = numpy_helper.from_array(np.ones((2, 3), "float32"), "conv.weight")
    save(helper.make_model(helper.make_graph([], "net", [], [], [weights])), str(folder / "net.onnx"))


TARGETS = {
    "pairs.txt": Target(_write_pairs, lambda folder: pairs.read_pairs(folder / "pairs.txt", folder), (200, 12_000)),
    "lists of people": Target(_write_people, lambda folder: people.listed(folder / "people.txt", NAMES), (200, 12_000)),
    "lists of images (CSV)": Target(_write_listed, _read_listed, (200, 8_000)),
    "distances (HDF5)": Target(_write_distances, _read_distances, (100, 3_000)),
    "verification sets (.bin)": Target(_write_bin, lambda folder: bins.read_bin(folder / "lfw.bin"), (200, 12_000)),
    "schedule files": Target(_write_schedule, lambda folder: schedules.read_schedule(str(folder / "schedule.txt")),
                             (200, 12_000)),
    "options.json": Target(_write_options, _resume, (200, 8_000)),
    "history.csv": Target(_write_history, lambda folder: history.read(folder / "history.csv"), (100, 4_000)),
    "recipes": Target(_write_recipe, _read_recipe, (50, 2_000)),
    "checkpoints": Target(_write_checkpoint, _read_checkpoint, (200, 6_000)),
    "classifiers": Target(_write_classifier, _read_classifier, (100, 5_000)),
    "galleries": Target(_write_gallery, _read_gallery, (100, 5_000)),
    "dominant centres": Target(_write_dominant, _read_dominant, (100, 3_000)),
    **{f"images ({name})": _image_target(name) for name in IMAGES},
    "model files": Target(_write_model, _read_model, (5, 200)),
    "model metadata": Target(_write_metadata, _read_metadata, (100, 5_000)),
    "PyTorch files": Target(_write_torch, lambda folder: torch_file.read(folder / "zip.pt"), (100, 5_000)),
    "PyTorch files, old form": Target(_write_torch_legacy, lambda folder: torch_file.read(folder / "legacy.ckpt"),
                                      (100, 5_000)),
    "frozen graphs": Target(_write_graph, lambda folder: tf1.read_graph(folder / "frozen.pb"), (100, 4_000)),
    "ONNX files": Target(_write_onnx, lambda folder: onnx_file.read(folder / "net.onnx"), (100, 4_000)),
}
