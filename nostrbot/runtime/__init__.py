"""The running bot: what acts. It takes what arrives, has it decided, commits it and carries out what is owed."""
