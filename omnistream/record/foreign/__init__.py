"""Other people's recordings, read as our own are: ROS 2 messages in MCAP, LeRobotDataset v3, video and sound files."""
