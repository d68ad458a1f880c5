"""The auditor: what the bot promises, checked by people who do not trust it. Nothing here knows the bot."""
