"""Sets with damaged files, and sets that change while they are trained on."""

import os
import shutil
import struct

import numpy as np
import pytest

from tests.pictures import encode, picture
from tests.torture.test_kills import wait
from tests.torture.training_runs import COMMON, SOFTMAX, losses, only_run
from tf_facenet import data

PEOPLE = 20
OPTIONS = [*COMMON[2:], "--batch_size", "30", "--max_nrof_epochs", "2"]
EXTRA_MEMORY = 400  # MB: a picture of 60,000 x 60,000 would need 10,800


def truncated(content):
    return content[:len(content) // 2]


def huge_jpeg(content):
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", 60_000, 60_000) + content[at + 4:]


def huge_png(_):
    content = encode(picture(24, 24), "PNG")
    return content[:16] + struct.pack(">II", 60_000, 60_000) + content[24:]


def huge_bmp(_):
    content = encode(picture(24, 24), "BMP")
    return content[:18] + struct.pack("<II", 60_000, 60_000) + content[26:]


def huge_gif(_):
    content = encode(picture(24, 24), "GIF")
    at = content.index(struct.pack("<cHHHH", b",", 0, 0, 24, 24)) + 5  # the frame; the screen around it is not read
    return content[:at] + struct.pack("<HH", 60_000, 60_000) + content[at + 4:]


# What is done to the content of some of the files, all named .jpg.
DAMAGES = [truncated, lambda _: b"", lambda _: b"%PDF-1.7\n", lambda _: b"II*\0" + bytes(60), lambda _: b"\xff\xd8\xff",
           huge_jpeg, huge_png, huge_bmp, huge_gif, lambda content: content[:100] + bytes(len(content) - 100)]


def write(folder, count):
    """A good set of people in `folder`/good, the same with 1 % of damaged files besides in `folder`/all.

    Returns:
        Paths of the damaged files.
    """
    drawn = data.load(f"drawn:people={PEOPLE},images=10,size=32")
    contents = list(drawn.samples)
    bad = []
    for number in range(count + count // 100):
        content, person = contents[number % len(contents)], drawn.names[drawn.labels[number % len(contents)]]
        name = f"{person}/{number * 7919 % 100_003:06d}.jpg"
        damage = number >= count and DAMAGES[number % len(DAMAGES)]
        for part in ("all",) if damage else ("all", "good"):
            path = folder / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(damage(content) if damage else content)
        bad += [folder / "all" / name] * bool(damage)
    return bad


@pytest.mark.slow
def test_damaged_files_change_nothing(zygote, effort, ledger, tmp_path):
    count = effort(1_000, 10_000)
    bad = write(tmp_path, count)
    children = {}
    for part in ("good", "all"):
        (tmp_path / f"{part}_run").mkdir()
        children[part] = zygote.start(
            SOFTMAX, ["--data_dir", str(tmp_path / part), "--models_base_dir", str(tmp_path / f"{part}_run" / "runs"),
                      *OPTIONS], output=tmp_path / f"{part}_run" / "output")
        assert children[part].wait() == 0, children[part].text()
    runs = {part: only_run(tmp_path / f"{part}_run") for part in children}
    listed = [line.split("\t")[0] for line in (runs["all"] / "bad_files.txt").read_text().splitlines()]
    assert sorted(listed) == sorted(map(str, bad))
    assert (runs["good"] / "bad_files.txt").read_text() == ""
    assert losses(runs["all"]) == losses(runs["good"])
    assert children["all"].megabytes < children["good"].megabytes + EXTRA_MEMORY
    ledger.note("damaged images in a set", images=count, damaged=len(bad),
                **{"MB more than without them": children["all"].megabytes - children["good"].megabytes})


@pytest.mark.torture
def test_a_set_that_changes(zygote, tmp_path):
    write(tmp_path, 400)
    child = zygote.start(SOFTMAX, ["--data_dir", str(tmp_path / "good"), "--models_base_dir", str(tmp_path / "runs"),
                                   *OPTIONS, "--max_nrof_epochs", "10"], output=tmp_path / "output")
    wait(lambda: list(tmp_path.glob("runs/*/checkpoints/checkpoint-*5.npz")), child)
    rng = np.random.default_rng(0)
    paths = sorted((tmp_path / "good").rglob("*.jpg"))
    for path in rng.permutation(paths)[:100]:
        rng.choice([os.remove, lambda path: path.write_bytes(b""), lambda path: path.rename(f"{path}.new")])(path)
    shutil.rmtree(paths[0].parent)
    assert child.wait() == 0, child.text()
    assert "cannot be read any more; another image takes its place" in child.text()
    assert max(losses(only_run(tmp_path))) == 400


@pytest.mark.torture
def test_a_set_that_vanishes(zygote, tmp_path):
    write(tmp_path, 400)
    child = zygote.start(SOFTMAX, ["--data_dir", str(tmp_path / "good"), "--models_base_dir", str(tmp_path / "runs"),
                                   *OPTIONS, "--max_nrof_epochs", "100"], output=tmp_path / "output")
    wait(lambda: list(tmp_path.glob("runs/*/checkpoints/checkpoint-*5.npz")), child)
    shutil.rmtree(tmp_path / "good")
    assert child.wait() == 2, child.text()
    last = child.text().strip().splitlines()[-1]
    assert "no image of a batch can be read" in last.lower()
    assert "go on with --resume" in last
