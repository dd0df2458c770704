"""The commands that use a model, on people who are colours."""

import csv
import dataclasses

import h5py
import numpy as np
import pytest

from tests.cli import colors
from tf_facenet import cli
from tf_facenet.data.prepare import without_listed
from tf_facenet.inference import photographs
from tf_facenet.inference.classifier import Classifier
from tf_facenet.inference.embedder import Embedder
from tf_facenet.inference.gallery import Gallery
from tf_facenet.inference.model_file import load_model

FACE = "known/Red/Red_0001.png"


def test_embed(world, run, tmp_path):
    out = tmp_path / "embeddings.npz"
    assert f"24 embeddings of 3 numbers, 4 people: {out}" in run(
        "embed", "model.keras", "all", "-o", out, "--projector", tmp_path / "projector")
    with np.load(out, allow_pickle=False) as arrays:
        stored = dict(arrays)
    files = [str(path) for path in sorted((world / "all").rglob("*.png"))]
    assert stored["files"].tolist() == files
    assert stored["names"][stored["labels"]].tolist() == [file.split("/")[-2] for file in files]
    expected, quality = Embedder.load(world / "model.keras").embed(files, quality=True)
    np.testing.assert_array_equal(stored["embeddings"], expected)
    np.testing.assert_array_equal(stored["quality"], quality)
    vectors = np.loadtxt(tmp_path / "projector" / "vectors.tsv", delimiter="\t")
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert (tmp_path / "projector" / "people.tsv").read_text().split() == [file.split("/")[-2] for file in files]


def test_embed_as_text(world, run, tmp_path):
    run("embed", "model.keras", "all", "-o", tmp_path / "e.csv")
    with open(tmp_path / "e.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["person"] for row in rows[:2]] == ["Blue", "Blue"]
    expected = Embedder.load(world / "model.keras").embed([row["file"] for row in rows])
    np.testing.assert_allclose([[float(row[str(i)]) for i in range(3)] for row in rows], expected, atol=1e-6)


def test_threshold_then_compare(world, run, tmp_path):
    model = colors.write_model(tmp_path / "own.keras")
    reds = [world / "all" / "Red" / f"Red_000{i}.png" for i in (1, 2)]
    blue = world / "all" / "Blue" / "Blue_0001.png"
    assert "has no threshold" in run("compare", model, *reds, blue, "--align", "none")
    pairs = tmp_path / "pairs.txt"
    lines = [f"{name} {i} {i + 1}" for name in colors.COLORS for i in (1, 3)]
    lines += [f"{a} {i} {b} {i}" for a, b in (("Red", "Green"), ("Blue", "Yellow")) for i in (1, 2, 3, 4)]
    pairs.write_text("8\n" + "\n".join(lines))
    said = run("threshold", model, "all", "--lfw_pairs", pairs, "--far", "0.1")
    stored = load_model(model)[1]["threshold"]
    assert stored["distance"] == "squared-L2"
    assert f"now stored in {model}: {stored['value']:.4f}; " in said
    assert said.endswith(f" --threshold of compare and identify: {stored['value']**0.5:.4f}\n")
    text = run("compare", model, *reds, blue, "--align", "none")
    assert "0 1  same " in text
    assert "0 2  different" in text
    embeddings = Embedder.load(model).embed([str(path) for path in (*reds, blue)])
    assert f"  {np.linalg.norm(embeddings[0] - embeddings[2]):1.4f}  " in text


def test_concat_gives_the_distances_of_unit_rows(world, run, tmp_path):
    files = [str(world / "all" / name / f"{name}_0001.png") for name in ("Red", "Blue")]
    rows = Embedder.load(world / "model.keras").embed(files, "concat")
    own = ("--align", "none", "--flip", "concat")
    text = run("compare", "model.keras", *files, *own, "--threshold", "1")
    assert f"0 1  different  {np.linalg.norm(rows[0] - rows[1]) / np.sqrt(2):1.4f}" in text
    run("enroll", "model.keras", "known", tmp_path / "gallery", *own)
    identify = ("identify", "model.keras", tmp_path / "gallery", files[0], "--threshold", "0.5", "--align", "none")
    assert ": Red (0.000)" in run(*identify, "--flip", "concat")
    with pytest.raises(ValueError, match="numbers, those of the gallery 6. Use the model and the --flip that made"):
        run(*identify)
    run("classify", "train", "known", "model.keras", tmp_path / "c.npz", "--flip", "concat", "--unknown_far", "0")
    text = run("classify", "predict", "known", "model.keras", tmp_path / "c.npz", "--flip", "concat")
    assert "Accuracy: 1.000" in text
    run("embed", "model.keras", "all", "-o", tmp_path / "e.npz", "--flip", "concat")  # facenet's rows
    with np.load(tmp_path / "e.npz", allow_pickle=False) as arrays:
        np.testing.assert_allclose(np.linalg.norm(arrays["embeddings"], axis=1), np.sqrt(2), rtol=1e-5)


@pytest.mark.parametrize("command", [
    ("compare", "model.keras", FACE), ("embed", "model.keras", "known", "-o", "e.npz"),
    ("enroll", "model.keras", "known", "new"), ("identify", "model.keras", "gallery", FACE, "--threshold", "1"),
    ("cluster", "model.keras", "known", "out", "--cluster_threshold", "1"),
    ("classify", "train", "known", "model.keras", "c.npz")], ids=lambda command: command[0])
def test_the_smallest_faces_looked_for(command, world, run, tmp_path, monkeypatch):
    """Every command that looks for faces in photographs is told how small they may be; `align` is, too."""
    asked = []

    def detector(min_face_size, **_):
        asked.append(min_face_size)
        raise OSError("seen")

    monkeypatch.setattr(photographs, "Detector", detector)
    monkeypatch.chdir(tmp_path)
    Gallery(np.eye(2, 3), ["a", "b"], load_model(world / "model.keras")[1]["model_id"]).save(tmp_path / "gallery")
    with pytest.raises(OSError, match="seen"):
        run(*command, "--align", "margin", "--min_face_size", "50")
    assert asked == [50]


def test_no_face_is_smaller_than_nothing(run, capsys):
    for command in (("compare", "model.keras", FACE), ("align", "known", "out")):
        with pytest.raises(SystemExit):
            run(*command, "--min_face_size", "-1")
        assert "--min_face_size is -1; expected at least 0" in capsys.readouterr().err


def test_cluster(world, run, tmp_path):
    assert "24 images, 4 people (the largest has 6 images), 0 images of nobody" in run(
        "cluster", "model.keras", "all", tmp_path / "out", "--align", "none", "--cluster_threshold", "0.5")
    for folder in (tmp_path / "out").iterdir():
        assert len({path.name.split("_")[1] for path in folder.iterdir()}) == 1
    with pytest.raises(FileExistsError, match="is not empty"):
        run("cluster", "model.keras", "all", tmp_path / "out", "--align", "none")
    run("cluster", "model.keras", "known", tmp_path / "largest", "--align", "none", "--cluster_threshold", "0.5",
        "--largest_cluster_only")
    assert [folder.name for folder in (tmp_path / "largest").iterdir()] == ["0"]


def test_the_projector_replaces_its_own_files_alone(world, run, tmp_path):
    """Such as in a run folder, beside the events of the training."""
    folder, arguments = tmp_path / "run", ("embed", "model.keras", "known", "-o", tmp_path / "e.npz", "--projector")
    folder.mkdir()
    (folder / "model.keras").write_text("hours of work")
    for _ in range(2):
        run(*arguments, folder)
    own = ["people.tsv", "projector_config.pbtxt", "vectors.tsv"]
    assert sorted(file.name for file in folder.iterdir()) == ["model.keras", *own]
    assert (folder / "model.keras").read_text() == "hours of work"
    (folder / "projector_config.pbtxt").write_text("embeddings { tensor_name: 'words' }")
    with pytest.raises(ValueError, match="has vectors.tsv and people.tsv and projector_config.pbtxt already"):
        run(*arguments, folder)


def test_enroll_keeps_the_other_files_of_the_folder(world, run, tmp_path):
    gallery = tmp_path / "gallery"
    for added in ("Added 18 faces of 3 people", "Added 0 faces of 0 people"):
        assert added in run("enroll", "model.keras", "known", gallery, "--align", "none")
        (gallery / "notes.txt").write_text("theirs")
    assert (gallery / "notes.txt").read_text() == "theirs"
    with pytest.raises(FileNotFoundError, match="known' is no gallery"):
        run("enroll", "model.keras", "known", "known", "--align", "none")


@pytest.mark.parametrize(("squared", "people"), [(0.25, 4), (1.44, 3)])
def test_cluster_takes_the_distance_from_the_model(squared, people, world, run, tmp_path):
    """Images of one colour are within 0.2 of each other; Red and Yellow are 1.1 apart, and Yellow and Green."""
    colors.write_model(tmp_path / "m.keras", threshold={"distance": "squared-L2", "value": squared})
    assert f"24 images, {people} people" in run(
        "cluster", tmp_path / "m.keras", "all", tmp_path / "out", "--align", "none")


def test_cluster_by_a_model_without_a_threshold(world, run, tmp_path):
    arguments = ("cluster", "model.keras", "known", tmp_path / "out", "--align", "none")
    with pytest.raises(ValueError, match="no threshold: pass --cluster_threshold, or choose one by tf-facenet"):
        run(*arguments)
    assert "18 images, 3 people" in run(*arguments, "--method", "hdbscan", "--min_cluster_size", "3")


def test_cluster_one_person(world, run, tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.png").write_bytes(colors.picture("Red", 0))
    for size, said in ((5, "1 people (the largest has 20 images), 0 images"), (21, "0 people")):
        assert f"20 images, {said}" in run("cluster", "model.keras", folder, tmp_path / f"out{size}", "--align", "none",
                                           "--method", "hdbscan", "--min_cluster_size", str(size))


def test_classify(run, tmp_path):
    said = run("classify", "train", "known", "model.keras", tmp_path / "people.npz", "--unknown_far", "0")
    assert "Number of classes: 3\nNumber of images: 18" in said
    text = run("classify", "CLASSIFY", "all", "model.keras", tmp_path / "people.npz")
    lines = [line for line in text.splitlines() if line.endswith(".png")]
    assert len(lines) == 24
    assert sum(f"  {line.split('/')[-2]}: " in line for line in lines if "Yellow" not in line) == 18
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "somebody.png").write_bytes(colors.picture("Green", 77))
    assert "   0  Green: " in run("classify", "predict", flat, "model.keras", tmp_path / "people.npz")


def test_classify_strangers(world, run, tmp_path):
    run("classify", "train", "known", "model.keras", tmp_path / "c.npz")
    dataclasses.replace(Classifier.load(tmp_path / "c.npz"), threshold=0.8).save(tmp_path / "c.npz")
    text = run("classify", "predict", "all", "model.keras", tmp_path / "c.npz")
    strangers = [line for line in text.splitlines() if "  unknown (nearest " in line]
    assert [line.split("/")[-2] for line in strangers] == ["Yellow"] * 6
    loaded = Classifier.load(tmp_path / "c.npz")
    classes, probabilities, _ = loaded.predict(Embedder.load(world / "model.keras").embed([strangers[0].split()[-1]]))
    assert f"  unknown (nearest {loaded.names[classes[0]]}: {probabilities[0]:.3f})  " in strangers[0]
    assert "Accuracy: 1.000" in text


def test_classify_by_a_support_vector_machine(run, tmp_path):
    run("classify", "train", "known", "model.keras", tmp_path / "c.npz", "--classifier", "svm", "--unknown_far", "0")
    assert np.any(Classifier.load(tmp_path / "c.npz").planes != Classifier.load(tmp_path / "c.npz").centers)
    assert "Accuracy: " in run("classify", "predict", "known", "model.keras", tmp_path / "c.npz")


def test_classify_a_split(run, tmp_path):
    split = ("--use_split_dataset", "--min_nrof_images_per_class", "5", "--nrof_train_images_per_class", "4")
    assert "Number of images: 16" in run("classify", "train", "all", "model.keras", tmp_path / "c.npz", *split)
    text = run("classify", "predict", "all", "model.keras", tmp_path / "c.npz", *split)
    assert text.count(".png") == 8
    assert "Accuracy: " in text


def test_classify_a_split_that_leaves_nobody(run, tmp_path):
    with pytest.raises(ValueError, match="all 3 people: the largest has 6 images, --min_nrof_images_per_class is 20"):
        run("classify", "train", "known", "model.keras", tmp_path / "c.npz", "--use_split_dataset")


def test_enroll_and_identify(world, run, tmp_path):
    gallery = tmp_path / "gallery"
    gallery.mkdir()  # an empty folder is a new gallery
    assert "has 18 faces of 3 people" in run("enroll", "model.keras", "known", gallery, "--align", "none")
    yellow = world / "all" / "Yellow"
    arguments = ("identify", "model.keras", gallery, yellow / "Yellow_0001.png", world / "all" / "Red" / "Red_0001.png",
                 "--align", "none", "--threshold", "0.5")
    first, second = run(*arguments).splitlines()
    assert "unknown (" in first
    assert ": Red (0.000)  quality " in second
    colors.write_people(tmp_path / "more", ("Yellow",), count=2)
    assert "has 20 faces of 4 people" in run("enroll", "model.keras", tmp_path / "more", gallery, "--align", "none")
    assert ": Yellow (0.000)" in run(*arguments).splitlines()[0]
    for again in ("known", tmp_path / "more"):
        assert "Added 0 faces of 0 people; " in run("enroll", "model.keras", again, gallery, "--align", "none")


def test_enroll_keeps_other_folders(run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileNotFoundError, match="is no gallery"):
        run("enroll", "model.keras", "known", tmp_path, "--align", "none")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_filter(world, run, tmp_path):
    run("filter", "model.keras", "all", tmp_path / "d.h5", "--drop", "25")
    with h5py.File(tmp_path / "d.h5") as file:
        distances, names = file["distance_to_center"][:], [name.decode() for name in file["image_list"]]
        labels = file["label_list"][:]
    embeddings = Embedder.load(world / "model.keras").embed(names)
    expected = [np.linalg.norm(row - embeddings[labels == label].mean(axis=0))
                for row, label in zip(embeddings, labels, strict=True)]
    np.testing.assert_allclose(distances, expected, atol=1e-5)
    from tf_facenet import data

    left = without_listed(data.load(world / "all"), tmp_path / "d.csv")
    assert len(left) == 18
    assert max(distances[names.index(name)] for name in left.samples) <= np.sort(distances)[-7] + 1e-6


def test_filter_lists_files_only(world, run, tmp_path):
    with pytest.raises(ValueError, match="in memory and have no names to list"):
        run("filter", "model.keras", f"{world / 'all'}:drawn:people=2", tmp_path / "d.h5")
    assert not any(tmp_path.iterdir())


def test_a_bad_image_is_named_and_skipped(world, run, tmp_path):
    folder = colors.write_people(tmp_path / "p", ("Red", "Blue"), count=2)
    (tmp_path / "p" / "Red" / "bad.jpg").write_text("no image")
    text = run("embed", "model.keras", folder, "-o", tmp_path / "e.npz")
    assert "bad.jpg: not a JPEG" in text
    assert "4 embeddings of 3 numbers" in text
    assert text.splitlines()[-1] == "Skipped 1 of 5 images"


@pytest.mark.parametrize(("arguments", "message"), [
    (("embed", "model.keras", "all", "-o", "x.txt"), "Unknown format of --output 'txt'"),
    (("classify", "learn", "all", "model.keras", "c.npz"), "Unknown mode 'learn'"),
    (("identify", "model.keras", "no gallery", "x.png"), "is no gallery"),
    (("cluster", "model.keras", "nowhere", "out"), "no folder 'nowhere'"),
])
def test_mistakes(run, arguments, message):
    with pytest.raises((ValueError, OSError), match=message):
        run(*arguments)


@pytest.mark.parametrize(("arguments", "message"), [
    ("filter m.keras all far.csv --drop 5", "'far.csv' is where --drop writes its list; expected an HDF5 file"),
    ("filter m.keras all far.h5 --drop 100", "--drop is 100.0"),
    ("filter m.keras all far.h5 --margin -1", "--margin is -1; expected at least 0"),
    ("compare m.keras a.png --threshold -1", "--threshold is -1.0; expected 0 to 2"),
    ("compare m.keras a.png --batch_size 0", "--batch_size is 0; expected at least 1"),
    ("identify m.keras g a.png --threshold nan", "--threshold is nan; expected 0 to 2"),
    ("identify m.keras g a.png --nearest 0", "--nearest is 0; expected at least 1"),
    ("identify m.keras g a.png --margin -1", "--margin is -1; expected at least 0"),
    ("classify train all m.keras c.npz --unknown_far 1.5", "--unknown_far is 1.5; expected 0 to 1"),
    ("classify train all m.keras c.npz --unknown_far nan", "--unknown_far is nan; expected 0 to 1"),
    ("cluster m.keras all out --cluster_threshold 2.5", "--cluster_threshold is 2.5; expected 0 to 2"),
])
def test_numbers_and_names_that_cannot_be(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.run_command(arguments.split())
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_what_belongs_to_another_model(world, run, tmp_path):
    run("enroll", "model.keras", "known", tmp_path / "g", "--align", "none")
    run("classify", "train", "known", "model.keras", tmp_path / "c.npz")
    import keras

    pixels = keras.Input((16, 16, 3), name="pixels")
    other = keras.Model(pixels, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(pixels)))
    from tf_facenet.inference.model_file import save_model

    save_model(other, tmp_path / "other.keras", {})
    with pytest.raises(ValueError, match="gallery was made with model"):
        run("identify", tmp_path / "other.keras", tmp_path / "g", "x.png", "--threshold", "1")
    with pytest.raises(ValueError, match="classifier was trained with model"):
        run("classify", "predict", "known", tmp_path / "other.keras", tmp_path / "c.npz")
