"""How soon faults are found, whether they are called by their name, and how seldom a healthy run is called ill."""
