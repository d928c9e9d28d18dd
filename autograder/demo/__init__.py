"""The sample class, and the road that it takes."""
