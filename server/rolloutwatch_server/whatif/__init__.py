"""What a correction with other settings would have given at each recorded step, from what is kept of it.

The definitions are those of the catalogue and of the distribution `correction`, which computes them from tokens.
Here tokens are gone: there is a row for each sequence, a histogram of all tokens, and the figures of the step.
From these some figures follow exactly; of the others a lower and an upper bound does.

Axes: S steps, R rows of the longest table among them (a shorter one is filled up with empty sequences), H bins.
"""
