"""Messages: what people and machines are told, in words and as events to send. They decide nothing."""
