"""Text -> token ids: engines that give the ids of the Hugging Face tokenizers library, and the proof that they do."""
