"""Rules against figures: when an alert begins, and when it ends.

`state.py` is the life of one alert, step after step.
`evaluation.py` has all rules of a run: `feed.py` is what it is fed and what it remembers,
`layout.py` and `plan.py` are how its rules are computed together, `windows.py` what they know of former steps,
`sheet.py` and `standings.py` its figures and the states of its rules.
`episodes.py` tells of a whole series when it stood beyond a limit, `active.py` of one step of a long run.
"""
