-- The earliest complaint of a member about an email; ties by the event id's bytes.
INSERT INTO mailriver.email_spam_complaint_events AS c (email_id, member_id, email_address, occurred_at, event_id)
SELECT b.email_id, b.member_id, b.address, b.occurred_at, b.event_id
  FROM unnest(%(emails)b::text[], %(members)b::text[], %(addresses)b::text[], %(times)b::timestamptz[],
              %(event_ids)b::text[]) WITH ORDINALITY
       AS b (email_id, member_id, address, occurred_at, event_id, ordinal)
 ORDER BY b.ordinal
    ON CONFLICT (email_id, member_id) DO UPDATE
   SET email_address = excluded.email_address, occurred_at = excluded.occurred_at, event_id = excluded.event_id
 WHERE (excluded.occurred_at, excluded.event_id) < (c.occurred_at, c.event_id)
RETURNING email_id, member_id
