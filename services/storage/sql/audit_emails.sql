-- Recounts the next emails by id: how many there were, the last one's id, and those whose counters are wrong.
WITH step AS (
  SELECT id, recipient_count, delivered_count, opened_count, clicked_count, failed_count
    FROM mailriver.emails
   WHERE id > %(after)s
   ORDER BY id
   LIMIT %(rows)s
), recounted AS (
  SELECT s.*, d.*
    FROM step AS s CROSS JOIN LATERAL (
      SELECT count(*) AS recipients, count(delivered_at) AS delivered, count(opened_at) AS opened,
             count(clicked_at) AS clicked, count(failed_at) AS failed
        FROM mailriver.email_recipients
       WHERE email_id = s.id
    ) AS d
)
SELECT count(*)::integer AS rows, max(id) AS last,
       coalesce(array_agg(id ORDER BY id) FILTER (
         WHERE (recipient_count, delivered_count, opened_count, clicked_count, failed_count)
               IS DISTINCT FROM (recipients, delivered, opened, clicked, failed)), '{}') AS drifted
  FROM recounted
