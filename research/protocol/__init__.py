"""Protocols: suites, orders, runs, and one sequence of tasks."""
