"""The check of a domain or endpoint: `dane.sender`'s questions, answered by dns and probe, until there is a verdict."""
