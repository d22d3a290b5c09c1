-- One change a recipient. 'infinity' stands for "no such event": least() ignores it, and so does <.
--
-- prior is how a row tells what it was before this update: bits 0-3 (delivered, opened, clicked, failed) what was
-- set before, bits 4-7 which of the batch's values were earlier than the stored ones. Should the row have to be
-- read again because another transaction changed it meanwhile, prior is computed anew with it, which old values
-- from a join to the same table would not be.
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
   WHERE r.id = b.id
     AND (b.delivered < coalesce(r.first_delivered_at, 'infinity')
       OR b.opened < coalesce(r.opened_at, 'infinity')
       OR b.clicked < coalesce(r.clicked_at, 'infinity')
       OR b.failed < coalesce(r.failed_at, 'infinity'))
  RETURNING b.ordinal::integer - 1 AS place, r.prior >> 4 AS won
)
SELECT (SELECT array_agg(place) FROM updated) AS places,
       (SELECT array_agg(won) FROM updated) AS won,
       (SELECT array_agg(b.ordinal::integer - 1)
          FROM unnest(%(ids)b::text[]) WITH ORDINALITY AS b (id, ordinal)
         WHERE b.ordinal::integer - 1 NOT IN (SELECT place FROM updated)
           AND NOT EXISTS (SELECT FROM mailriver.email_recipients AS r WHERE r.id = b.id)) AS gone
