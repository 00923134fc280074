from .pickled_arrays import read_pickled_arrays as read_pickled_arrays
from .pickled_values import NotArraysError as NotArraysError
