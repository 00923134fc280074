"""The benchmarks measure speed, as ratios between things timed in one run on one machine."""
