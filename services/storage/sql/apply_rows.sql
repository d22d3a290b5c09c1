-- One change a recipient and one a member, and what follows for the counters of members and emails. 'infinity' stands
-- for "no such event": least() ignores it, and so does <.
--
-- prior is how a row tells what it was before this update: bits 0-3 (delivered, opened, clicked, failed) what was
-- set before, bits 4-7 which of the batch's values were earlier than the stored ones. Should the row have to be
-- read again because another transaction changed it meanwhile, prior is computed anew with it, which old values
-- from a join to the same table would not be. The differences to it are what the counters take. A member's prior is 1
-- if its last_seen_at moved.
--
-- Locks: recipients, members, emails, each by key. Emails are last, since their rows are wanted by every batch.
--
-- Rows that are not there are told from rows that need no change by the same snapshot: the NOT EXISTS looks only at
-- what the update did not return.
WITH updated AS (
  UPDATE mailriver.email_recipients AS r
     SET first_delivered_at = least(r.first_delivered_at, nullif(b.delivered, 'infinity')),
         opened_at = least(r.opened_at, nullif(b.opened, 'infinity')),
         clicked_at = least(r.clicked_at, nullif(b.clicked, 'infinity')),
         failed_at = least(r.failed_at, nullif(b.failed, 'infinity')),
         prior = (r.delivered_at IS NOT NULL)::integer
               + (r.opened_at IS NOT NULL)::integer * 2
               + (r.clicked_at IS NOT NULL)::integer * 4
               + (r.failed_at IS NOT NULL)::integer * 8
               + (b.delivered < coalesce(r.first_delivered_at, 'infinity'))::integer * 16
               + (b.opened < coalesce(r.opened_at, 'infinity'))::integer * 32
               + (b.clicked < coalesce(r.clicked_at, 'infinity'))::integer * 64
               + (b.failed < coalesce(r.failed_at, 'infinity'))::integer * 128
    FROM unnest(%(ids)b::text[], %(delivered)b::timestamptz[], %(opened)b::timestamptz[], %(clicked)b::timestamptz[],
                %(failed)b::timestamptz[]) WITH ORDINALITY AS b (id, delivered, opened, clicked, failed, ordinal)
   WHERE mailriver.must_be_storage()
     AND r.id = b.id
     AND (b.delivered < coalesce(r.first_delivered_at, 'infinity')
       OR b.opened < coalesce(r.opened_at, 'infinity')
       OR b.clicked < coalesce(r.clicked_at, 'infinity')
       OR b.failed < coalesce(r.failed_at, 'infinity'))
  RETURNING b.ordinal::integer - 1 AS place, r.email_id, r.member_id, r.prior >> 4 AS won,
            (r.delivered_at IS NOT NULL)::integer - (r.prior & 1) AS delivered,
            (r.opened_at IS NOT NULL)::integer - (r.prior >> 1 & 1) AS opened,
            (r.clicked_at IS NOT NULL)::integer - (r.prior >> 2 & 1) AS clicked,
            (r.failed_at IS NOT NULL)::integer - (r.prior >> 3 & 1) AS failed
), members AS (
  UPDATE mailriver.members AS m
     SET last_seen_at = greatest(m.last_seen_at, d.seen),
         email_disabled = m.email_disabled OR d.disabled,
         email_opened_count = m.email_opened_count + d.opened,
         email_tracked_opened_count = m.email_tracked_opened_count + d.tracked_opened,
         prior = coalesce(d.seen > coalesce(m.last_seen_at, '-infinity'), false)::integer
    FROM (
      SELECT id, max(place) AS place, max(seen) AS seen, bool_or(disabled) AS disabled,
             sum(opened) AS opened, sum(tracked_opened) AS tracked_opened
        FROM (
          SELECT u.member_id AS id, NULL::integer AS place, NULL::timestamptz AS seen, false AS disabled,
                 u.opened, CASE WHEN e.track_opens THEN u.opened ELSE 0 END AS tracked_opened
            FROM updated AS u JOIN mailriver.emails AS e ON e.id = u.email_id
           WHERE u.opened <> 0 AND u.member_id IS NOT NULL
          UNION ALL
          SELECT s.id, s.ordinal::integer - 1, s.seen, false, 0, 0
            FROM unnest(%(members)b::text[], %(seen)b::timestamptz[]) WITH ORDINALITY AS s (id, seen, ordinal)
          UNION ALL
          SELECT s.id, NULL, NULL, true, 0, 0 FROM unnest(%(disabled)b::text[]) AS s (id)
        ) AS changes
       GROUP BY id
       ORDER BY id COLLATE "C"
    ) AS d
   WHERE m.id = d.id
     AND (d.opened <> 0
       OR d.seen > coalesce(m.last_seen_at, '-infinity')
       OR d.disabled AND NOT m.email_disabled)
  RETURNING CASE WHEN m.prior = 1 THEN d.place END AS seen
), emails AS (
  UPDATE mailriver.emails AS e
     SET delivered_count = e.delivered_count + d.delivered,
         opened_count = e.opened_count + d.opened,
         clicked_count = e.clicked_count + d.clicked,
         failed_count = e.failed_count + d.failed
    FROM (
      -- Parts of a statement have no order of their own: asking for the members' count lets them go first.
      SELECT u.email_id AS id, sum(u.delivered) AS delivered, sum(u.opened) AS opened, sum(u.clicked) AS clicked,
             sum(u.failed) AS failed, (SELECT count(*) FROM members) AS members_first
        FROM updated AS u
       GROUP BY u.email_id
       ORDER BY u.email_id
    ) AS d
   WHERE e.id = d.id
     AND d.members_first >= 0
     AND (d.delivered <> 0 OR d.opened <> 0 OR d.clicked <> 0 OR d.failed <> 0)
)
SELECT (SELECT array_agg(place) FROM updated) AS places,
       (SELECT array_agg(won) FROM updated) AS won,
       (SELECT array_agg(seen) FROM members WHERE seen IS NOT NULL) AS seen,
       (SELECT array_agg(b.ordinal::integer - 1)
          FROM unnest(%(ids)b::text[]) WITH ORDINALITY AS b (id, ordinal)
         WHERE b.ordinal::integer - 1 NOT IN (SELECT place FROM updated)
           AND NOT EXISTS (SELECT FROM mailriver.email_recipients AS r WHERE r.id = b.id)) AS gone
