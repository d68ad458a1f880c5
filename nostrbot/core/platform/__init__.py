"""The platform desk: operators, their keys and roles, and the bot's own keys."""
