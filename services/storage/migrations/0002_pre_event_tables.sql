-- The tables that Mailriver alone writes. Event ids compare by bytes, as the rules for ties want it.

CREATE TABLE mailriver.email_recipient_failures (
  email_recipient_id text COLLATE "C" PRIMARY KEY REFERENCES mailriver.email_recipients ON DELETE CASCADE,
  email_id text COLLATE "C" NOT NULL,
  member_id text COLLATE "C",
  severity text COLLATE "C" NOT NULL CHECK (severity IN ('permanent', 'temporary')),
  code integer,
  enhanced_code text,
  message text NOT NULL CHECK (message <> ''),
  failed_at timestamptz(3) NOT NULL,
  event_id text COLLATE "C" NOT NULL
);
CREATE INDEX email_recipient_failures_by_email ON mailriver.email_recipient_failures (email_id, email_recipient_id);

-- Complaints, unsubscriptions and suppressions outlive the email and the member, so they have no foreign keys.
CREATE TABLE mailriver.email_spam_complaint_events (
  email_id text COLLATE "C" NOT NULL,
  member_id text COLLATE "C" NOT NULL,
  email_address text NOT NULL,
  occurred_at timestamptz(3) NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (email_id, member_id)
);

CREATE TABLE mailriver.email_unsubscribe_events (
  event_id text COLLATE "C" NOT NULL,
  occurred_at timestamptz(3) NOT NULL,
  email_id text COLLATE "C" NOT NULL,
  member_id text COLLATE "C",
  newsletter_id text COLLATE "C",
  PRIMARY KEY (event_id, occurred_at)
);

CREATE TABLE mailriver.suppressions (
  email text COLLATE "C" PRIMARY KEY,
  reason text COLLATE "C" NOT NULL CHECK (reason IN ('spam', 'bounce')),
  email_id text COLLATE "C" NOT NULL,
  occurred_at timestamptz(3) NOT NULL,
  event_id text COLLATE "C" NOT NULL
);

CREATE TABLE mailriver.suppression_members (
  email text COLLATE "C" NOT NULL,
  member_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (email, member_id)
);
