-- What `mailriver audit` found, a row for each that came to its end: storage shows the last one as metrics.
CREATE TABLE mailriver.audits (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  began_at timestamptz(3) NOT NULL,
  ended_at timestamptz(3) NOT NULL,
  rows bigint NOT NULL,
  drifted bigint NOT NULL,
  repaired bigint NOT NULL
);

-- The runs of `mailriver rebuild`: one that has not ended is gone on with. Its id is part of the name of its consumer
-- group, so that the offsets of one run are never taken for those of another.
CREATE TABLE mailriver.rebuilds (
  id text COLLATE "C" PRIMARY KEY,
  topic text COLLATE "C" NOT NULL,
  began_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz(3)
);
CREATE UNIQUE INDEX rebuilds_unfinished ON mailriver.rebuilds (topic) WHERE ended_at IS NULL;
