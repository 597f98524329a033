"""Archive what trainers push, and serve API and dashboard."""

__version__ = "0.1.0"
