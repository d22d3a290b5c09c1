-- What the console's lists walk through.

-- The recipients of a batch, and those of an email that are in none. No event changes these columns, so that updates
-- stay heap-only.
CREATE INDEX email_recipients_by_batch ON mailriver.email_recipients (email_id, batch_id);

-- The failures of one severity by recipient. An update that makes a temporary failure permanent is not heap-only by
-- it: rare, so accepted. Both severities are merged from it, so it stands in for the index without severity.
CREATE INDEX email_recipient_failures_by_severity
  ON mailriver.email_recipient_failures (email_id, severity, email_recipient_id);
DROP INDEX mailriver.email_recipient_failures_by_email;

-- The batches of an email by id.
CREATE INDEX email_batches_of_email ON mailriver.email_batches (email_id, id);
DROP INDEX mailriver.email_batches_by_email;
