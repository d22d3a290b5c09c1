-- The unfinished run of this topic, or a new one.
WITH new AS (
  INSERT INTO mailriver.rebuilds (id, topic)
  SELECT %(id)s, %(topic)s
   WHERE NOT EXISTS (SELECT FROM mailriver.rebuilds WHERE topic = %(topic)s AND ended_at IS NULL)
  RETURNING id, began_at
)
SELECT id, began_at FROM new
UNION ALL
SELECT id, began_at FROM mailriver.rebuilds WHERE topic = %(topic)s AND ended_at IS NULL
