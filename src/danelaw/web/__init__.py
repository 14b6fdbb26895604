"""Pages: a check's result with its picture, and the small web service that runs checks."""
