"""Figures: metrics, summaries, tables, plots and the page."""
