-- The planner's choices for this transaction alone: the keys come sorted, and only a nested loop over an index
-- visits, and so locks, the rows in that order. A session with these switches on would ruin other statements.
SELECT set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true),
       set_config('enable_seqscan', 'off', true),
       set_config('plan_cache_mode', 'force_generic_plan', true)
