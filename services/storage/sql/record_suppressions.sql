-- What first suppressed an address; ties by the event id's bytes.
INSERT INTO mailriver.suppressions AS s (email, reason, email_id, occurred_at, event_id)
SELECT b.address, b.reason, b.email_id, b.occurred_at, b.event_id
  FROM unnest(%(addresses)b::text[], %(reasons)b::text[], %(emails)b::text[], %(times)b::timestamptz[],
              %(event_ids)b::text[]) WITH ORDINALITY
       AS b (address, reason, email_id, occurred_at, event_id, ordinal)
 ORDER BY b.ordinal
    ON CONFLICT (email) DO UPDATE
   SET reason = excluded.reason, email_id = excluded.email_id, occurred_at = excluded.occurred_at,
       event_id = excluded.event_id
 WHERE (excluded.occurred_at, excluded.event_id) < (s.occurred_at, s.event_id)
RETURNING email
