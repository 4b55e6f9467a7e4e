"""What is said to an endpoint about an update: its document's selection, run for this update with its client's eyes."""
