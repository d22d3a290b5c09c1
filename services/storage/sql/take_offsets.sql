-- Moves the next offsets on and answers where they stood, in one statement that also keeps two consumers of one
-- partition (one of them a zombie) apart until the commit.
INSERT INTO mailriver.storage_offsets AS stored (topic, partition, next_offset, previous_offset)
SELECT %(topic)s, partition, next_offset, 0
  FROM unnest(%(partitions)s::integer[], %(next_offsets)s::bigint[]) AS batch (partition, next_offset)
 ORDER BY partition
    ON CONFLICT (topic, partition) DO UPDATE
   SET next_offset = greatest(stored.next_offset, excluded.next_offset), previous_offset = stored.next_offset
RETURNING partition, previous_offset
