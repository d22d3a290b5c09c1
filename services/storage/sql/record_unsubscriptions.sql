-- Only an unsubscription that is new ends a subscription, and only one that was not begun after it: neither a replay
-- nor a late event undoes a later subscription.
WITH recorded AS (
  INSERT INTO mailriver.email_unsubscribe_events (event_id, occurred_at, email_id, member_id, newsletter_id)
  SELECT b.event_id, b.occurred_at, b.email_id, b.member_id, e.newsletter_id
    FROM unnest(%(event_ids)b::text[], %(times)b::timestamptz[], %(emails)b::text[], %(members)b::text[])
         WITH ORDINALITY AS b (event_id, occurred_at, email_id, member_id, ordinal)
    LEFT JOIN mailriver.emails AS e ON e.id = b.email_id
   ORDER BY b.ordinal
      ON CONFLICT DO NOTHING
  RETURNING event_id, occurred_at, member_id, newsletter_id
), ended AS (
  DELETE FROM mailriver.members_newsletters AS s
   USING (
     SELECT member_id, newsletter_id, max(occurred_at) AS occurred_at
       FROM recorded
      WHERE member_id IS NOT NULL AND newsletter_id IS NOT NULL
      GROUP BY member_id, newsletter_id
      ORDER BY member_id, newsletter_id
   ) AS r
   WHERE s.member_id = r.member_id AND s.newsletter_id = r.newsletter_id
     AND (s.subscribed_at IS NULL OR s.subscribed_at <= r.occurred_at)
)
SELECT event_id, (extract(epoch FROM occurred_at) * 1000000)::bigint FROM recorded
