UPDATE mailriver.emails AS e
   SET recipient_count = d.recipients, delivered_count = d.delivered, opened_count = d.opened,
       clicked_count = d.clicked, failed_count = d.failed
  FROM (
    SELECT given.id, c.*
      FROM unnest(%(ids)s::text[]) AS given (id) CROSS JOIN LATERAL (
        SELECT count(*) AS recipients, count(delivered_at) AS delivered, count(opened_at) AS opened,
               count(clicked_at) AS clicked, count(failed_at) AS failed
          FROM mailriver.email_recipients
         WHERE email_id = given.id
      ) AS c
     ORDER BY given.id COLLATE "C"
  ) AS d
 WHERE e.id = d.id
