"""Sources and sinks that ship with OmniStream."""
