"""A home: the folder a bot lives in, its configuration, its key file and its lock."""
