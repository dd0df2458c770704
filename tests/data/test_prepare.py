import numpy as np
import pytest

from tf_facenet.data import prepare
from tf_facenet.data.faces import Faces
from tf_facenet.options import SoftmaxOptions


def faces(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    samples = np.array([f"/faces/p{label}/{index}.jpg" for index, label in enumerate(labels)],
                       object)
    return Faces(samples, labels, [f"p{label}" for label in range(len(counts))])


@pytest.mark.parametrize(("percentile", "expected"), [
    (50, .64418358), (75, 1.14443049), (90, 1.62103001), (100, 3.68894250)])
def test_percentile_is_facenets_find_threshold(percentile, expected):
    distances = np.abs(np.random.RandomState(17).randn(1000))
    assert prepare.distance_percentile(distances, percentile) == pytest.approx(expected, abs=5e-8)


def test_only_people(tmp_path):
    path = tmp_path / "people.txt"
    path.write_text("2\np2\t5\np0\t1\n")
    chosen = prepare.only_people(faces([2, 3, 4]), path)
    assert chosen.names == ["p0", "p2"]
    assert len(chosen) == 6


def test_outliers_and_the_classes_they_leave_small(tmp_path):
    import h5py

    data = faces([3, 3, 1])
    distances = np.array([0.1, 0.2, 0.95, 0.1, 0.2, 0.3, 0.1])
    with h5py.File(tmp_path / "filter.h5", "w") as file:
        file["image_list"] = [str(sample) for sample in data.samples]
        file["distance_to_center"] = distances
    options = SoftmaxOptions(filter_filename=str(tmp_path / "filter.h5"), filter_percentile=90)
    assert len(prepare.without_outliers(data, options)) == 6
    options = SoftmaxOptions(filter_filename=str(tmp_path / "filter.h5"), filter_percentile=90,
                             filter_min_nrof_images_per_class=3)
    # p0 lost an image and is small now; p2 was small before and stays, as in facenet.
    assert prepare.without_outliers(data, options).names == ["p1", "p2"]


def test_filter_file_of_other_data(tmp_path):
    import h5py

    with h5py.File(tmp_path / "filter.h5", "w") as file:
        file["image_list"] = ["/elsewhere/a.jpg"]
        file["distance_to_center"] = [0.5]
    options = SoftmaxOptions(filter_filename=str(tmp_path / "filter.h5"))
    with pytest.raises(ValueError, match="no image of .* it was made from '/elsewhere/a.jpg'"):
        prepare.without_outliers(faces([2, 2]), options)


def test_hold_out_counts(caplog):
    with caplog.at_level("INFO", "tf_facenet"):
        training, held_out = prepare.hold_out(faces([3, 5, 7]),
                                              SoftmaxOptions(validation_set_split_ratio=0.3))
    assert (len(training), len(held_out)) == (2 + 3 + 4, 1 + 2 + 3)
    assert "Number of examples in validation set: 6" in caplog.text
