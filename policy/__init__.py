"""What may leave today and why, and the links that let it out."""
