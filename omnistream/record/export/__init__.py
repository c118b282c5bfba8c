"""Recordings in the forms of others: LeRobotDataset v3 for learning; MP4, WAV and WebVTT for people."""
