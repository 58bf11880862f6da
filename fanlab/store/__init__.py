"""Bytes on disk: codecs, artifact files, and the database of runs."""
