import numpy as np
import pytest

from tf_facenet.data.faces import Faces

COUNTS = (3, 5, 7, 9, 11, 13)


def people(*counts):
    """Faces whose samples say who they are: "c1_0" is the first image of person 1."""
    labels = np.repeat(np.arange(len(counts)), counts)
    samples = [f"c{c}_{i}" for c, count in enumerate(counts) for i in range(count)]
    return Faces(np.array(samples, object), labels, [f"c{c}" for c in range(len(counts))])


def counts(faces):
    return np.bincount(faces.labels, minlength=faces.num_classes).tolist()


def owners(faces):
    return [faces.names[label] for label in faces.labels]


def test_length_and_classes():
    faces = people(2, 3)
    assert (len(faces), faces.num_classes) == (5, 2)


def test_wrong_lengths_and_labels_are_refused():
    samples = np.array(["a", "b"], object)
    with pytest.raises(ValueError, match="2 samples and 3 labels; expected one label for each"):
        Faces(samples, np.zeros(3, int), ["x"])
    with pytest.raises(ValueError, match="labels from 0 to 1; expected 0 to 0"):
        Faces(samples, np.array([0, 1]), ["x"])


@pytest.mark.parametrize("which", [
    np.array([False, True, False, False, True, True]), np.array([1, 4, 5])], ids=["mask", "rows"])
def test_select_numbers_the_people_anew(which):
    chosen = people(2, 1, 3).select(which)
    assert chosen.samples.tolist() == ["c0_1", "c2_1", "c2_2"]
    assert chosen.labels.tolist() == [0, 1, 1]
    assert chosen.names == ["c0", "c2"]
    assert chosen.labels.dtype == np.int64


def test_select_nothing():
    assert people(2, 1).select(np.zeros(3, bool)).num_classes == 0


def test_minimum_of_images():
    assert people(1, 3, 2, 4).with_min_images(3).names == ["c1", "c3"]


def test_split_of_images_has_facenets_counts():
    training, validation = people(*COUNTS).split_images(0.3, 0, seed=1)
    assert counts(training) == [2, 3, 4, 6, 7, 9]
    assert counts(validation) == [1, 2, 3, 3, 4, 4]
    assert training.names == validation.names == [f"c{c}" for c in range(6)]


@pytest.mark.parametrize("ratio", [0.01, 0.05, 0.3, 0.5, 0.9])
def test_split_of_images_against_a_loop(ratio):
    faces = people(1, 2, 3, 5, 8, 20, 40)
    expected = {}
    for name, n in zip(faces.names, counts(faces), strict=True):
        train = min(int(np.floor(n * (1 - ratio))), n - 1)
        if train >= 3:
            expected[name] = (train, n - train)
    training, validation = faces.split_images(ratio, 3, seed=5)
    assert dict(zip(training.names, zip(counts(training), counts(validation), strict=True),
                    strict=True)) == expected
    for part in (training, validation):
        assert [sample.split("_")[0] for sample in part.samples] == owners(part)
    both = [*training.samples, *validation.samples]
    assert sorted(both) == sorted(s for s in faces.samples if s.split("_")[0] in expected)


def test_nobody_is_split_off_without_a_training_image():
    training, validation = people(1, 2, 1).split_images(0.5, 0, seed=1)
    assert training.names == validation.names == ["c1"]


def test_split_of_images_is_decided_by_the_seed():
    faces = people(30, 30)
    splits = [faces.split_images(0.3, 0, seed)[1].samples.tolist() for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]


def test_each_image_is_held_out_equally_often():
    hits = np.zeros(10)
    for seed in range(400):
        held_out = people(10).split_images(0.3, 0, seed)[1]
        hits[[int(sample.split("_")[1]) for sample in held_out.samples]] += 1
    assert hits.sum() == 400 * 3
    assert np.abs(hits - 120).max() < 5 * np.sqrt(400 * 0.3 * 0.7)


@pytest.mark.parametrize(("ratio", "held_out"), [(0.3, 2), (0.01, 1), (0.99, 5)])
def test_split_of_people(ratio, held_out):
    training, validation = people(*COUNTS).split_people(ratio, seed=3)
    assert validation.num_classes == held_out
    assert sorted(training.names + validation.names) == [f"c{c}" for c in range(6)]
    assert sorted([*training.samples, *validation.samples]) == sorted(people(*COUNTS).samples)
    assert [sample.split("_")[0] for sample in validation.samples] == owners(validation)


def test_split_of_people_keeps_the_last_person_and_differs_with_the_seed():
    chosen = {tuple(people(*COUNTS).split_people(0.3, seed)[1].names) for seed in range(30)}
    assert len(chosen) > 5
    assert any("c5" in names for names in chosen)


def test_splits_refuse_what_cannot_be():
    for ratio in (0, 1, -0.1, 1.5):
        with pytest.raises(ValueError, match=f"split ratio {ratio}: expected a number between"):
            people(3, 3).split_images(ratio, 0, 1)
    with pytest.raises(ValueError, match="1 people cannot be split; expected at least two"):
        people(3).split_people(0.5, 1)


def test_joined_people_count_as_different():
    joined = Faces.join([people(1, 2), people(3), people(1)])
    assert joined.samples.tolist() == ["c0_0", "c1_0", "c1_1", "c0_0", "c0_1", "c0_2", "c0_0"]
    assert joined.labels.tolist() == [0, 1, 1, 2, 2, 2, 3]
    assert joined.names == ["c0", "c1", "c0 (2)", "c0 (3)"]


def test_joined_again_all_names_differ():
    twice = Faces.join([people(1), people(1)])
    assert twice.names == ["c0", "c0 (2)"]
    assert Faces.join([twice, people(2), twice]).names == ["c0", "c0 (2)", "c0 (3)", "c0 (4)", "c0 (2) (2)"]
