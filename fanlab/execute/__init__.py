"""Processes and time: executors, workers, the channel between them, and the runner of a run."""
