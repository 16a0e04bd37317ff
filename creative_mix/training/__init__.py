"""Training: pairs whose answer is known, losses, monitors and the loop."""
