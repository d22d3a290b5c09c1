-- Recounts the next members by id: how many there were, the last one's key, and those whose counters are wrong.
-- A counter that is right in one snapshot is right, since it changes in the transaction of the rows that it counts.
-- (email_open_rate is generated from the counters.)
WITH step AS (
  SELECT id,
         ARRAY[email_count, email_opened_count, email_tracked_count, email_tracked_opened_count] AS stored
    FROM mailriver.members
   WHERE id > (%(after)s::text[])[1]
   ORDER BY id
   LIMIT %(rows)s
), recounted AS (
  SELECT s.*, d.recounted
    FROM step AS s CROSS JOIN LATERAL (
      SELECT ARRAY[count(*), count(r.opened_at), count(*) FILTER (WHERE e.track_opens),
                   count(r.opened_at) FILTER (WHERE e.track_opens)]::integer[] AS recounted
        FROM mailriver.email_recipients AS r JOIN mailriver.emails AS e ON e.id = r.email_id
       WHERE r.member_id = s.id
    ) AS d
)
SELECT count(*)::integer AS rows, ARRAY[max(id)] AS last,
       coalesce(jsonb_agg(jsonb_build_array(id, stored, recounted) ORDER BY id)
                FILTER (WHERE stored <> recounted), '[]') AS drifted
  FROM recounted
