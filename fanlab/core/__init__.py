"""The pure part: values that describe calls, graphs, schedules, events and records."""
