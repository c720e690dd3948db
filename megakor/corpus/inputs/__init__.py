"""Text of any format, cut into portions that are read one after another in bounded memory."""
