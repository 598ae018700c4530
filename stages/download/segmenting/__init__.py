"""Segmentation datasets: images of any size with masks, one binary layer per target."""
