"""The runtime: an async dataflow of nodes in event time, on one process or on Ray actors."""
