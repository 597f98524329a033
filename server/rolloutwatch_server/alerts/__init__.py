"""Rules against figures: when an alert begins, and when it ends.

`state.py` is the definition, one step after the other;
`episodes.py` gives the same of a whole series at once, `active.py` of what stands at one step of a long run.
"""
