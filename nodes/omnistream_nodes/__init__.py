"""Nodes that ship with OmniStream."""
