-- One failure a recipient: the earliest permanent one, else the latest temporary one; ties by the event id's bytes.
-- A recipient that is gone has none.
INSERT INTO mailriver.email_recipient_failures AS f
       (email_recipient_id, email_id, member_id, severity, code, enhanced_code, message, failed_at, event_id)
SELECT r.id, r.email_id, r.member_id, b.severity, b.code, b.enhanced_code, b.message, b.failed_at, b.event_id
  FROM unnest(%(recipients)b::text[], %(severities)b::text[], %(codes)s::integer[], %(enhanced_codes)b::text[],
              %(messages)b::text[], %(times)b::timestamptz[], %(event_ids)b::text[]) WITH ORDINALITY
       AS b (id, severity, code, enhanced_code, message, failed_at, event_id, ordinal)
  JOIN mailriver.email_recipients AS r ON r.id = b.id
 ORDER BY b.ordinal
    ON CONFLICT (email_recipient_id) DO UPDATE
   SET email_id = excluded.email_id, member_id = excluded.member_id, severity = excluded.severity,
       code = excluded.code, enhanced_code = excluded.enhanced_code, message = excluded.message,
       failed_at = excluded.failed_at, event_id = excluded.event_id
 WHERE CASE
         WHEN excluded.severity <> f.severity THEN excluded.severity = 'permanent'
         WHEN f.severity = 'permanent' THEN (excluded.failed_at, excluded.event_id) < (f.failed_at, f.event_id)
         ELSE (excluded.failed_at, excluded.event_id) > (f.failed_at, f.event_id)
       END
RETURNING email_recipient_id
