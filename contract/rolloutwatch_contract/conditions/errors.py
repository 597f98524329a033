"""What is wrong with a condition, and where in it."""


class ConditionError(ValueError):
    """A text is no condition; the message says what was expected, what came, and the nearest that would do.

    `position` is the column of the first letter that is wrong, from 1, and `length` how many letters are.
    """

    def __init__(self, problem: str, *, position: int, length: int, expected: str, came: str) -> None:
        super().__init__(f"column {position}: {problem}")
        self.problem = problem
        self.position = position
        self.length = length
        self.expected = expected
        self.came = came
