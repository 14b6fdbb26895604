"""What DNS says, as each authoritative server serves it and as a validating resolver sees it, and changing it."""
