"""What touches PyAV: opening, decoding and encoding media files."""
