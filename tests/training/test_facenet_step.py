"""The whole training step against facenet on TensorFlow 1.7: Inception-ResNet-v1, D = 128.

Train mode, weight decay 5e-4, center loss 1e-2, prelogits norm 5e-4; weights by the rule below.
"""

import csv
import zlib

import numpy as np
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy as numpy

from tf_facenet import backbones, heads, losses
from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import optimizers
from tf_facenet.training.loop import Loop, Stop
from tf_facenet.training.trainer import FaceTrainer

LABELS = np.array([0, 1, 2, 3, 0, 1, 2, 9], "int32")
STEPS = {  # (optimizer, rate): (total, cross-entropy) of the second and the third step
    ("ADAM", 0.005): [(17.784794, .010293), (17.779568, .005903)],
    ("MOM", 0.01): [(18.231871, .454302), (17.882410, .102600)],
    ("RMSPROP", 0.01): [(17.791803, .016599), (17.843746, .068260)],
    ("ADAGRAD", 0.05): [(20.376110, 2.502365), (19.423954, 1.416538)],
}
