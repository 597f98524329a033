"""Figures: data in, plotly figure out; they know nothing of Dash."""
