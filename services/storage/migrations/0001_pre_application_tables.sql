-- The tables that the sending application fills. Columns marked "ours" are written by Mailriver alone.
--
-- Keys sort by bytes (COLLATE "C"): rows are locked in key order everywhere, and Python's sorted() must agree
-- with the database on that order. Comparing bytes is also the fastest.

CREATE TABLE mailriver.newsletters (
  id text COLLATE "C" PRIMARY KEY,
  name text NOT NULL
);

CREATE TABLE mailriver.members (
  id text COLLATE "C" PRIMARY KEY,
  email text NOT NULL,
  email_disabled boolean NOT NULL DEFAULT false,               -- ours
  last_seen_at timestamptz(3),                                 -- ours
  email_count integer NOT NULL DEFAULT 0,                      -- ours
  email_opened_count integer NOT NULL DEFAULT 0,               -- ours
  email_tracked_count integer NOT NULL DEFAULT 0,              -- ours
  email_tracked_opened_count integer NOT NULL DEFAULT 0,       -- ours; makes the rate plain arithmetic
  -- round(numeric) takes halves up; round(double precision) would take them to even.
  email_open_rate integer GENERATED ALWAYS AS (
    CASE WHEN email_tracked_count >= 5
      THEN round(100.0 * email_tracked_opened_count / email_tracked_count)::integer END
  ) STORED
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE mailriver.members_newsletters (
  member_id text COLLATE "C" NOT NULL REFERENCES mailriver.members ON DELETE CASCADE,
  newsletter_id text COLLATE "C" NOT NULL,
  subscribed_at timestamptz(3),
  PRIMARY KEY (member_id, newsletter_id)
);

-- Few rows, and each batch updates some of them: four fifths of a page are left for their new versions.
CREATE TABLE mailriver.emails (
  id text COLLATE "C" PRIMARY KEY,
  newsletter_id text COLLATE "C",                              -- no foreign key: newsletters may go, their emails stay
  subject text NOT NULL,
  track_opens boolean NOT NULL DEFAULT true,
  submitted_at timestamptz(3) NOT NULL,
  recipient_count integer NOT NULL DEFAULT 0,                  -- ours
  delivered_count integer NOT NULL DEFAULT 0,                  -- ours
  opened_count integer NOT NULL DEFAULT 0,                     -- ours
  clicked_count integer NOT NULL DEFAULT 0,                    -- ours
  failed_count integer NOT NULL DEFAULT 0                      -- ours
) WITH (fillfactor = 20);
CREATE INDEX emails_newest_first ON mailriver.emails (submitted_at DESC, id DESC);

CREATE TABLE mailriver.email_batches (
  id text COLLATE "C" PRIMARY KEY,
  email_id text COLLATE "C" NOT NULL REFERENCES mailriver.emails ON DELETE CASCADE,
  provider_id text COLLATE "C" UNIQUE                          -- Mailgun's message id without brackets, once known
);
CREATE INDEX email_batches_by_email ON mailriver.email_batches (email_id);

-- In a campaign's order whole pages change in one transaction, so there is room for each row twice (and for the
-- timestamps that a new row lacks): at 45 all updates are heap-only. Never index a column that events change.
CREATE TABLE mailriver.email_recipients (
  id text COLLATE "C" PRIMARY KEY,
  email_id text COLLATE "C" NOT NULL REFERENCES mailriver.emails ON DELETE CASCADE,
  batch_id text COLLATE "C",
  member_id text COLLATE "C",                                  -- no foreign key: the member may go, the row stays
  member_email text NOT NULL,
  failed_at timestamptz(3),                                    -- ours
  first_delivered_at timestamptz(3),                           -- ours
  delivered_at timestamptz(3) GENERATED ALWAYS AS (CASE WHEN failed_at IS NULL THEN first_delivered_at END) STORED,
  opened_at timestamptz(3),                                    -- ours
  clicked_at timestamptz(3),                                   -- ours
  prior smallint NOT NULL DEFAULT 0                            -- ours; see docs/adr/0004-storage-statement.md
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.02);
-- Also what finds the recipients of an email that is deleted.
CREATE UNIQUE INDEX email_recipients_by_address ON mailriver.email_recipients (email_id, lower(member_email));
CREATE INDEX email_recipients_by_member ON mailriver.email_recipients (member_id);
