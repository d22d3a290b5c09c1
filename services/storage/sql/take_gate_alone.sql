-- Opens the transaction of a repair: behind the gate nobody writes what is recounted. The time-outs bound how long
-- everybody else waits for it: storage gives up only after 30 s. A statement of its own, as in begin_batch.sql.
SELECT set_config('lock_timeout', %(lock_milliseconds)s, true),
       set_config('statement_timeout', %(statement_milliseconds)s, true),
       pg_advisory_xact_lock(mailriver.gate_key())
