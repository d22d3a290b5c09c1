-- The next recipients by id: how many there were, the last one's key, and those whose failed_at is not that of their
-- permanent failure. (delivered_at is generated, and failures are unique by their key: neither can be wrong.)
WITH step AS (
  SELECT id, failed_at
    FROM mailriver.email_recipients
   WHERE id > (%(after)s::text[])[1]
   ORDER BY id
   LIMIT %(rows)s
), recounted AS (
  SELECT s.id, s.failed_at AS stored, f.failed_at AS recounted
    FROM step AS s
    LEFT JOIN mailriver.email_recipient_failures AS f ON f.email_recipient_id = s.id AND f.severity = 'permanent'
)
SELECT count(*)::integer AS rows, ARRAY[max(id)] AS last,
       coalesce(jsonb_agg(jsonb_build_array(id, jsonb_build_array(stored), jsonb_build_array(recounted)) ORDER BY id)
                FILTER (WHERE stored IS DISTINCT FROM recounted), '[]') AS drifted
  FROM recounted
