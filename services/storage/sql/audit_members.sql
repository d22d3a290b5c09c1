-- Recounts the next members by id: how many there were, the last one's id, and those whose counters are wrong.
-- A counter that is right in one snapshot is right, since it changes in the transaction of the rows that it counts.
WITH step AS (
  SELECT id, email_count, email_opened_count, email_tracked_count, email_tracked_opened_count
    FROM mailriver.members
   WHERE id > %(after)s
   ORDER BY id
   LIMIT %(rows)s
), recounted AS (
  SELECT s.*, d.*
    FROM step AS s CROSS JOIN LATERAL (
      SELECT count(*) AS emails, count(r.opened_at) AS opened,
             count(*) FILTER (WHERE e.track_opens) AS tracked,
             count(r.opened_at) FILTER (WHERE e.track_opens) AS tracked_opened
        FROM mailriver.email_recipients AS r JOIN mailriver.emails AS e ON e.id = r.email_id
       WHERE r.member_id = s.id
    ) AS d
)
SELECT count(*)::integer AS rows, max(id) AS last,
       coalesce(array_agg(id ORDER BY id) FILTER (
         WHERE (email_count, email_opened_count, email_tracked_count, email_tracked_opened_count)
               IS DISTINCT FROM (emails, opened, tracked, tracked_opened)), '{}') AS drifted
  FROM recounted
