"""Figures, as ratios to bare Python and to peers in the same run."""
