"""What a person sees of a run; it reads records and changes nothing."""
