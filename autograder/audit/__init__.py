"""The audit: what a suite lets pass, and what it does not."""
