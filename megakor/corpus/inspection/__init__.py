"""Looking at finished shards: what is in them, whether they are whole, and what their documents read like."""
