-- The counters of emails and members, whoever writes the recipients: storage's statement counts its own changes
-- (sql/apply_rows.sql), these triggers those of everybody else, in the same transaction.
--
-- The planner's switches make the functions visit rows in key order, and keep a plan that was made for a statement of
-- a million rows from being used for the next one of a single row (and the other way round).

LOCK TABLE mailriver.emails, mailriver.members, mailriver.email_recipients IN SHARE ROW EXCLUSIVE MODE;

ALTER TABLE mailriver.members ADD COLUMN prior smallint NOT NULL DEFAULT 0;     -- ours, like email_recipients.prior

-- Three functions from one text, since a transition table is there or not by the kind of the statement.
DO $migration$
DECLARE
  kind record;
BEGIN
  FOR kind IN
    SELECT * FROM (VALUES
      ('inserted', 'SELECT 1 AS sign, * FROM come'),
      ('deleted', 'SELECT -1 AS sign, * FROM went'),
      ('updated', 'SELECT 1 AS sign, * FROM come UNION ALL SELECT -1, * FROM went')
    ) AS kinds (name, changes)
  LOOP
    EXECUTE format($create$
      CREATE FUNCTION mailriver.count_%s_recipients() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
      SET search_path = pg_catalog, pg_temp
      SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $function$
      BEGIN
        UPDATE mailriver.members AS m
           SET email_count = m.email_count + d.emails,
               email_opened_count = m.email_opened_count + d.opened,
               email_tracked_count = m.email_tracked_count + d.tracked,
               email_tracked_opened_count = m.email_tracked_opened_count + d.tracked_opened
          FROM (
            -- An email that is being deleted is not there any more: see count_tracked_recipients.
            SELECT c.member_id AS id, sum(c.sign) AS emails,
                   coalesce(sum(c.sign) FILTER (WHERE c.opened_at IS NOT NULL), 0) AS opened,
                   coalesce(sum(c.sign) FILTER (WHERE e.track_opens), 0) AS tracked,
                   coalesce(sum(c.sign) FILTER (WHERE e.track_opens AND c.opened_at IS NOT NULL), 0) AS tracked_opened
              FROM (%2$s) AS c LEFT JOIN mailriver.emails AS e ON e.id = c.email_id
             WHERE c.member_id IS NOT NULL
             GROUP BY c.member_id
             ORDER BY c.member_id
          ) AS d
         WHERE m.id = d.id AND (d.emails <> 0 OR d.opened <> 0 OR d.tracked <> 0 OR d.tracked_opened <> 0);
        UPDATE mailriver.emails AS e
           SET recipient_count = e.recipient_count + d.recipients,
               delivered_count = e.delivered_count + d.delivered,
               opened_count = e.opened_count + d.opened,
               clicked_count = e.clicked_count + d.clicked,
               failed_count = e.failed_count + d.failed
          FROM (
            SELECT c.email_id AS id, sum(c.sign) AS recipients,
                   coalesce(sum(c.sign) FILTER (WHERE c.delivered_at IS NOT NULL), 0) AS delivered,
                   coalesce(sum(c.sign) FILTER (WHERE c.opened_at IS NOT NULL), 0) AS opened,
                   coalesce(sum(c.sign) FILTER (WHERE c.clicked_at IS NOT NULL), 0) AS clicked,
                   coalesce(sum(c.sign) FILTER (WHERE c.failed_at IS NOT NULL), 0) AS failed
              FROM (%2$s) AS c
             GROUP BY c.email_id
             ORDER BY c.email_id
          ) AS d
         WHERE e.id = d.id
           AND (d.recipients <> 0 OR d.delivered <> 0 OR d.opened <> 0 OR d.clicked <> 0 OR d.failed <> 0);
        RETURN NULL;
      END $function$
    $create$, kind.name, kind.changes);
  END LOOP;
END $migration$;

CREATE TRIGGER c_count_inserted AFTER INSERT ON mailriver.email_recipients
  REFERENCING NEW TABLE AS come FOR EACH STATEMENT
  WHEN (NOT mailriver.storage_writes()) EXECUTE FUNCTION mailriver.count_inserted_recipients();
CREATE TRIGGER c_count_updated AFTER UPDATE ON mailriver.email_recipients
  REFERENCING OLD TABLE AS went NEW TABLE AS come FOR EACH STATEMENT
  WHEN (NOT mailriver.storage_writes()) EXECUTE FUNCTION mailriver.count_updated_recipients();
CREATE TRIGGER c_count_deleted AFTER DELETE ON mailriver.email_recipients
  REFERENCING OLD TABLE AS went FOR EACH STATEMENT
  WHEN (NOT mailriver.storage_writes()) EXECUTE FUNCTION mailriver.count_deleted_recipients();

CREATE FUNCTION mailriver.count_no_recipients() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE mailriver.members
     SET email_count = 0, email_opened_count = 0, email_tracked_count = 0, email_tracked_opened_count = 0
   WHERE email_count <> 0;
  UPDATE mailriver.emails
     SET recipient_count = 0, delivered_count = 0, opened_count = 0, clicked_count = 0, failed_count = 0
   WHERE recipient_count <> 0;
  RETURN NULL;
END $$;
CREATE TRIGGER c_count_truncated AFTER TRUNCATE ON mailriver.email_recipients FOR EACH STATEMENT
  EXECUTE FUNCTION mailriver.count_no_recipients();

-- The recipients of an email begin or cease to be tracked. Before an email is deleted they cease to be: when they are
-- deleted in turn, nothing tells any more whether they were.
CREATE FUNCTION mailriver.count_tracked_recipients() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
  is_tracked boolean := TG_OP = 'UPDATE' AND NEW.track_opens;
  sign integer := CASE WHEN is_tracked THEN 1 ELSE -1 END;
BEGIN
  UPDATE mailriver.members AS m
     SET email_tracked_count = m.email_tracked_count + d.tracked * sign,
         email_tracked_opened_count = m.email_tracked_opened_count + d.opened * sign
    FROM (
      SELECT r.member_id AS id, count(*) AS tracked, count(r.opened_at) AS opened
        FROM mailriver.email_recipients AS r
       WHERE r.email_id = OLD.id AND r.member_id IS NOT NULL
       GROUP BY r.member_id
       ORDER BY r.member_id
    ) AS d
   WHERE m.id = d.id;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER b_count_deleted BEFORE DELETE ON mailriver.emails FOR EACH ROW
  WHEN (OLD.track_opens) EXECUTE FUNCTION mailriver.count_tracked_recipients();
CREATE TRIGGER b_count_tracked BEFORE UPDATE OF track_opens ON mailriver.emails FOR EACH ROW
  WHEN (OLD.track_opens <> NEW.track_opens) EXECUTE FUNCTION mailriver.count_tracked_recipients();

-- A member may come after its recipients.
CREATE FUNCTION mailriver.count_for_members() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
  UPDATE mailriver.members AS m
     SET email_count = d.emails, email_opened_count = d.opened,
         email_tracked_count = d.tracked, email_tracked_opened_count = d.tracked_opened
    FROM come CROSS JOIN LATERAL (
      SELECT count(*) AS emails, count(r.opened_at) AS opened,
             count(*) FILTER (WHERE e.track_opens) AS tracked,
             count(r.opened_at) FILTER (WHERE e.track_opens) AS tracked_opened
        FROM mailriver.email_recipients AS r JOIN mailriver.emails AS e ON e.id = r.email_id
       WHERE r.member_id = come.id
    ) AS d
   WHERE m.id = come.id AND d.emails <> 0;
  RETURN NULL;
END $$;
CREATE TRIGGER c_count_inserted AFTER INSERT ON mailriver.members
  REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION mailriver.count_for_members();

CREATE FUNCTION mailriver.count_for_renamed_member() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  SELECT count(*), count(r.opened_at),
         count(*) FILTER (WHERE e.track_opens), count(r.opened_at) FILTER (WHERE e.track_opens)
    INTO NEW.email_count, NEW.email_opened_count, NEW.email_tracked_count, NEW.email_tracked_opened_count
    FROM mailriver.email_recipients AS r JOIN mailriver.emails AS e ON e.id = r.email_id
   WHERE r.member_id = NEW.id;
  RETURN NEW;
END $$;
CREATE TRIGGER b_count_renamed BEFORE UPDATE OF id ON mailriver.members FOR EACH ROW
  WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION mailriver.count_for_renamed_member();

-- What is there already.
UPDATE mailriver.members AS m
   SET email_count = d.emails, email_opened_count = d.opened,
       email_tracked_count = d.tracked, email_tracked_opened_count = d.tracked_opened
  FROM (
    SELECT r.member_id AS id, count(*) AS emails, count(r.opened_at) AS opened,
           count(*) FILTER (WHERE e.track_opens) AS tracked,
           count(r.opened_at) FILTER (WHERE e.track_opens) AS tracked_opened
      FROM mailriver.email_recipients AS r JOIN mailriver.emails AS e ON e.id = r.email_id
     GROUP BY r.member_id
  ) AS d
 WHERE m.id = d.id;
UPDATE mailriver.emails AS e
   SET recipient_count = d.recipients, delivered_count = d.delivered, opened_count = d.opened,
       clicked_count = d.clicked, failed_count = d.failed
  FROM (
    SELECT email_id AS id, count(*) AS recipients, count(delivered_at) AS delivered, count(opened_at) AS opened,
           count(clicked_at) AS clicked, count(failed_at) AS failed
      FROM mailriver.email_recipients
     GROUP BY email_id
  ) AS d
 WHERE e.id = d.id;
