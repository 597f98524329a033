"""Rules against figures: when an alert begins, and when it ends.

`state.py` is the definition, one step after the other; `evaluation.py` judges all rules of a run at once.
`engine.py` does so while records are archived, in the same transaction, and asks the archive by `book.py`.
`recorded.py` judges a run again of what the archive shows and of `notes.py`, which say how that differs from what came.
"""
