"""What rdu ships for tests: checkpoints and programs that are made up on the spot."""
