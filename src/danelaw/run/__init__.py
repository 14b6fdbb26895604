"""The composition point: look, take one step, look again."""
