-- Opens a batch's transaction: who writes, the gate (docs/adr/0004-storage-statement.md), and the
-- planner's choices for this transaction alone: the keys come sorted, and only a nested loop over an index visits, and
-- so locks, the rows in that order. A session with these switches on would ruin other statements.
--
-- A statement of its own, so that the next one's snapshot is younger than the gate.
SELECT set_config('mailriver.writer', 'storage', true),
       set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true),
       set_config('enable_seqscan', 'off', true),
       set_config('plan_cache_mode', 'force_generic_plan', true),
       pg_advisory_xact_lock_shared(mailriver.gate_key())
