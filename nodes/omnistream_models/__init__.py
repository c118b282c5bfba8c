"""Model files that ship inside public packages: found by name, version and digest."""
