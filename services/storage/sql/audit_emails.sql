-- Recounts the next emails by id: how many there were, the last one's key, and those whose counters are wrong.
-- So many emails that they have about the wanted number of recipients, but at least one; an email is never cut, since
-- only a count in one snapshot is exact beside those who write.
WITH ahead AS (
  SELECT id, ARRAY[recipient_count, delivered_count, opened_count, clicked_count, failed_count] AS stored,
         sum(recipient_count) OVER (ORDER BY id) - recipient_count AS before
    FROM (
      SELECT * FROM mailriver.emails WHERE id > (%(after)s::text[])[1] ORDER BY id LIMIT %(rows)s
    ) AS e
), recounted AS (
  SELECT a.id, a.stored, d.recounted
    FROM ahead AS a CROSS JOIN LATERAL (
      SELECT ARRAY[count(*), count(delivered_at), count(opened_at), count(clicked_at), count(failed_at)]::integer[]
             AS recounted
        FROM mailriver.email_recipients
       WHERE email_id = a.id
    ) AS d
   WHERE a.before < %(recipients)s
)
SELECT count(*)::integer AS rows, ARRAY[max(id)] AS last,
       coalesce(jsonb_agg(jsonb_build_array(id, stored, recounted) ORDER BY id)
                FILTER (WHERE stored <> recounted), '[]') AS drifted
  FROM recounted
