-- What storage has counted, written in the transaction of each batch: it holds after kills too.

CREATE TABLE mailriver.storage_offsets (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  previous_offset bigint NOT NULL,      -- next_offset before the last batch: the batch reads it back when it writes
  PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20);

CREATE TABLE mailriver.storage_totals (
  event_type text COLLATE "C" NOT NULL,
  loop text COLLATE "C" NOT NULL,
  outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('changed', 'nothing', 'ignored')),
  reason text COLLATE "C" NOT NULL DEFAULT '',          -- of ignored ones; empty for the others
  events bigint NOT NULL,
  PRIMARY KEY (event_type, loop, outcome, reason)
) WITH (fillfactor = 20);
