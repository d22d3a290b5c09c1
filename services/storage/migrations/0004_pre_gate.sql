-- Keeps storage's batches and everybody else's statements on the same rows apart: docs/adr/0004-storage-statement.md.
--
-- Storage takes the gate shared, whoever else writes recipients takes it alone, before any row is locked. Then the
-- two can never each hold rows that the other waits for, and what a trigger counts is not changed meanwhile.

CREATE FUNCTION mailriver.gate_key() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 7881706588018861413;                                    -- any number that nobody else uses as an advisory lock

-- For statement triggers. A snapshot that is older than the gate would not see the rows that were committed
-- while it was waited for, so that they would be left uncounted.
CREATE FUNCTION mailriver.take_gate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'rows of mailriver.% can only be written in transactions that are READ COMMITTED', TG_TABLE_NAME
      USING ERRCODE = 'feature_not_supported', HINT = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED';
  END IF;
  PERFORM pg_advisory_xact_lock(mailriver.gate_key());
  RETURN NULL;
END $$;

-- Storage counts what it writes itself; triggers count what everybody else writes. The setting tells the two apart.
CREATE FUNCTION mailriver.storage_writes() RETURNS boolean LANGUAGE sql STABLE
RETURN coalesce(current_setting('mailriver.writer', true) = 'storage', false);

-- Were the setting lost, both would count. Storage's statement asks this and so refuses to run.
CREATE FUNCTION mailriver.must_be_storage() RETURNS boolean LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT mailriver.storage_writes() THEN
    RAISE EXCEPTION 'the setting mailriver.writer is lost, so that changes would be counted twice'
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN true;
END $$;

CREATE TRIGGER a_gate BEFORE INSERT OR UPDATE OR DELETE ON mailriver.email_recipients FOR EACH STATEMENT
  WHEN (NOT mailriver.storage_writes()) EXECUTE FUNCTION mailriver.take_gate();
-- Deleting an email deletes its recipients; track_opens says which of them count as tracked.
CREATE TRIGGER a_gate BEFORE UPDATE OF track_opens OR DELETE ON mailriver.emails FOR EACH STATEMENT
  EXECUTE FUNCTION mailriver.take_gate();
-- A new member is counted for by those who see its row: until it is committed, nobody may write its recipients.
CREATE TRIGGER a_gate BEFORE INSERT OR UPDATE OF id OR DELETE ON mailriver.members FOR EACH STATEMENT
  EXECUTE FUNCTION mailriver.take_gate();
