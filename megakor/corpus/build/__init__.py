"""Text -> shards: tasks, sorted runs, their merge, and the processes that share the work."""
