-- The next members with a suppressed address: how many there were, the last one's key, and those whose address is not
-- among the suppressions. Only the member is told: the address is personal data.
WITH step AS (
  SELECT email, member_id
    FROM mailriver.suppression_members
   WHERE (email, member_id) > ((%(after)s::text[])[1], (%(after)s::text[])[2])
   ORDER BY email, member_id
   LIMIT %(rows)s
), recounted AS (
  SELECT s.*, (SELECT count(*) FROM mailriver.suppressions AS x WHERE x.email = s.email) AS recounted
    FROM step AS s
)
SELECT count(*)::integer AS rows,
       (SELECT ARRAY[email, member_id] FROM step ORDER BY email DESC, member_id DESC LIMIT 1) AS last,
       coalesce(jsonb_agg(jsonb_build_array(member_id, '[1]'::jsonb, jsonb_build_array(recounted))
                          ORDER BY email, member_id)
                FILTER (WHERE recounted <> 1), '[]') AS drifted
  FROM recounted
