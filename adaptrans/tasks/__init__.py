"""What is learned and measured: tasks, their examples and where these are read from."""
