INSERT INTO mailriver.storage_totals AS stored (event_type, loop, outcome, reason, events)
SELECT event_type, loop, outcome, reason, events
  FROM unnest(%(event_types)s::text[], %(loops)s::text[], %(outcomes)s::text[], %(reasons)s::text[],
              %(events)s::bigint[]) AS batch (event_type, loop, outcome, reason, events)
 ORDER BY event_type COLLATE "C", loop COLLATE "C", outcome COLLATE "C", reason COLLATE "C"
    ON CONFLICT (event_type, loop, outcome, reason) DO UPDATE SET events = stored.events + excluded.events
