-- A permanent failure proves that the recipient failed, at that time at the latest. The triggers count what changes.
-- Answers the recipients that are left: their failure is missing, and only the events can tell it again.
WITH mended AS (
  UPDATE mailriver.email_recipients AS r
     SET failed_at = f.failed_at
    FROM mailriver.email_recipient_failures AS f
   WHERE r.id = ANY(%(ids)s) AND f.email_recipient_id = r.id AND f.severity = 'permanent'
     AND f.failed_at < coalesce(r.failed_at, 'infinity')
  RETURNING r.id
)
SELECT r.id
  FROM mailriver.email_recipients AS r
  LEFT JOIN mailriver.email_recipient_failures AS f ON f.email_recipient_id = r.id AND f.severity = 'permanent'
 WHERE r.id = ANY(%(ids)s) AND r.id NOT IN (SELECT id FROM mended) AND r.failed_at IS DISTINCT FROM f.failed_at
