import numpy as np
import pytest
from ml_dtypes import bfloat16

from tf_facenet.finite import NonFiniteError, check_finite


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, bfloat16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_type_of_number(dtype, value):
    values = np.ones((2, 3), dtype)
    check_finite("w", values)
    values[1, 1] = value
    with pytest.raises(NonFiniteError, match="w holds values that are not finite"):
        check_finite("w", values)


def test_whole_numbers_are_finite():
    check_finite("seed", np.array([1, 2], np.uint32))
