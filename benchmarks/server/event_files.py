"""Write a run as TensorBoard's event files; run by the Python that has TensorBoard, which has nothing of ours.

python event_files.py FOLDER STEPS NAME ...
"""

import sys

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


def main(folder: str, steps: int, names: list[str]) -> None:
    """Write a scalar of each name for each step, all of a step in one event, which is the quickest to read."""
    writer = EventFileWriter(folder)
    of = np.arange(steps)
    noise = (of * 2654435761 % 2**32) / 2**32
    columns = [(1 + 0.3 * np.sin(of / 5e4 + number) + 0.1 * noise).tolist() for number in range(len(names))]
    for step, row in enumerate(zip(*columns, strict=True)):
        values = [Summary.Value(tag=name, simple_value=value) for name, value in zip(names, row, strict=True)]
        writer.add_event(Event(wall_time=float(step), step=step, summary=Summary(value=values)))
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
