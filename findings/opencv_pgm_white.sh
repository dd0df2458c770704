#!/bin/sh
# A PGM says which number stands for white. OpenCV's imdecode follows it in text files of up to 8 bits (P2), but not in
# binary ones (P5), nor in either kind with 16 bits when it converts them to 8: a picture of 4 or 12 bits comes out
# about sixteen times too dark.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np


def seen(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[0, :, 0].tolist()


files = {
    "text, white is 15": b"P2\n3 1\n15\n0 5 15\n",
    "binary, white is 15": b"P5\n3 1\n15\n" + bytes((0, 5, 15)),
    "text, white is 4095": b"P2\n3 1\n4095\n0 1365 4095\n",
    "binary, white is 4095": b"P5\n3 1\n4095\n" + np.array([0, 1365, 4095], ">u2").tobytes(),
}
found = {name: seen(content) for name, content in files.items()}
print("OpenCV", cv2.__version__, "NumPy", np.__version__)
print("guess: black, a third, white are [0, 85, 255] in each file")
for name, pixels in found.items():
    print(f"{name}: {pixels}")
expected = [[0, 85, 255], [0, 5, 15], [0, 5, 15], [0, 5, 15]]
raise SystemExit(list(found.values()) != expected)
PYTHON
