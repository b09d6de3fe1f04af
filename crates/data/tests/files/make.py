"""Writes the files of the tests with SciPy and PyArrow, so that they come from other programs than the readers under test.

Run in this folder: `python make.py` (SciPy since 1.7, any PyArrow).
"""

import numpy as np
import pyarrow
import pyarrow.parquet
from scipy.io import savemat


def cars(file_field, *images):
    """Annotations as in Cars196: a 1 x N array of records."""
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", file_field]
    records = np.zeros((1, len(images)), dtype=[(field, object) for field in fields])
    for place, (file, number) in enumerate(images):
        records[0, place] = (*map(np.uint8, (30, 52, 246, 147)), np.uint8(number), file)
    return records


def cells(*texts):
    array = np.empty((1, len(texts)), dtype=object)
    array[0, :] = texts
    return array


NAMES = cells("AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Volvo 240 Sedan 1993")
FLAT = cars("relative_im_path", ("car_ims/000001.jpg", 1), ("car_ims/000002.jpg", 3), ("car_ims/000003.jpg", 2))
for name, compressed in (("plain", False), ("compressed", True)):
    savemat(f"flat_{name}.mat", {"annotations": FLAT, "class_names": NAMES}, do_compression=compressed)
    savemat(
        f"values_{name}.mat",
        {"numbers": np.array([[1.0, -2.5, 1e9]]), "bytes": np.arange(3, dtype=np.int8), "text": "b é.jpg", "cells": cells("a", "")},
        do_compression=compressed,
    )
savemat("train.mat", {"annotations": cars("fname", ("00001.jpg", 1), ("00002.jpg", 3))}, do_compression=True)
savemat("test.mat", {"annotations": cars("fname", ("00001.jpg", 2), ("00002.jpg", 1))}, do_compression=True)
savemat("meta.mat", {"class_names": NAMES}, do_compression=True)

# The rows of ROLES in src/dataset/tests.rs, with typed columns and nulls, and an embedding column that is not read.
columns = {
    "path": ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "2.jpg"],
    "label": ["cat", "dog", "dog", None, "cow"],
    "embedding": [[0.5, 1.0]] * 5,
    "split": ["train", "test", "test", "test", "test"],
    "is_query": [None, True, False, None, True],
    "is_gallery": [None, False, True, None, True],
    "x1": [None, 1, None, None, 40],
    "y1": [None, 2, None, None, 2],
    "x2": [None, 31.0, None, None, 50.0],
    "y2": [None, 22.4, None, None, 9.0],
    "group": [None, "red", "red", "blue", "blue"],
}
pyarrow.parquet.write_table(pyarrow.table(columns), "list.parquet")
