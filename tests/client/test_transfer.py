"""Figures from the device to the host."""

import numpy as np
import torch

from rolloutwatch.transfer import Transfer, pack, unpack


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


def test_one_buffer_takes_tensors_of_all_kinds() -> None:
    """What leaves a GPU in one copy comes apart as it was, whatever the order, empty ones too."""
    tensors = [
        torch.arange(3, dtype=torch.int32),
        torch.tensor([[0.1, float("nan")], [-0.0, float("inf")]], dtype=torch.float64),
        torch.zeros(0, 15, dtype=torch.float64),
        torch.tensor(7, dtype=torch.int64),
        torch.tensor([True, False, True]),
        torch.arange(12.0).reshape(3, 4).T.contiguous(),
    ]
    packed = pack(tensors)
    assert packed.nbytes == sum(tensor.nbytes for tensor in tensors)
    buffer = torch.cat([packed, torch.zeros(100, dtype=torch.uint8)])
    arrays = unpack(buffer, tensors)
    buffer.zero_()
    for array, tensor in zip(arrays, tensors, strict=True):
        assert array.dtype == tensor.numpy().dtype
        assert array.shape == tuple(tensor.shape)
        assert array.tobytes() == tensor.numpy().tobytes()
