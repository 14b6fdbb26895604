"""Figures, as ratios to bare Python and to certbot in the same run. docs/bench.md explains them."""
