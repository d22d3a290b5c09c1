UPDATE mailriver.members AS m
   SET email_count = d.emails, email_opened_count = d.opened,
       email_tracked_count = d.tracked, email_tracked_opened_count = d.tracked_opened
  FROM (
    SELECT given.id, c.*
      FROM unnest(%(ids)s::text[]) AS given (id) CROSS JOIN LATERAL (
        SELECT count(*) AS emails, count(r.opened_at) AS opened,
               count(*) FILTER (WHERE e.track_opens) AS tracked,
               count(r.opened_at) FILTER (WHERE e.track_opens) AS tracked_opened
          FROM mailriver.email_recipients AS r JOIN mailriver.emails AS e ON e.id = r.email_id
         WHERE r.member_id = given.id
      ) AS c
     ORDER BY given.id COLLATE "C"
  ) AS d
 WHERE m.id = d.id
