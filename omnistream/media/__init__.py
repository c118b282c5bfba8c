"""Media files, and sound in pieces of one size: for drivers that read devices and for recordings that are such files."""
