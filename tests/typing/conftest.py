"""What is in this folder is read by mypy (`make lint`) and never run."""

collect_ignore_glob = ["*.py"]
