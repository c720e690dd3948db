"""Operations on documents of finished shards, each a stream of batches in and out."""
