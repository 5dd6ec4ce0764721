"""The reading side: from a failed run to the line that explains it."""
