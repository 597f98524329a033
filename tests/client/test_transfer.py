"""Figures from the device to the host."""

import numpy as np
import torch

from rolloutwatch.transfer import Transfer


def test_on_a_cpu_tensors_are_there_at_once() -> None:
    arrival = Transfer().start([torch.arange(3.0, dtype=torch.float64), torch.ones(2, 2)])
    assert arrival is not None
    assert arrival.ready()
    vector, table = arrival.take()
    assert vector.tolist() == [0.0, 1.0, 2.0]
    assert np.array_equal(table, np.ones((2, 2), dtype=np.float32))


def test_a_tensor_that_has_a_gradient_is_copied_without_it() -> None:
    arrival = Transfer().start([torch.ones(2, requires_grad=True)])
    assert arrival is not None
    assert arrival.take()[0].tolist() == [1.0, 1.0]
