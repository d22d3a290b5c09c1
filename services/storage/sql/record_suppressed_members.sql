-- Once for each suppressed address of a member, so that a replay does not disable it again after somebody cleared that.
INSERT INTO mailriver.suppression_members (email, member_id)
SELECT b.address, b.member_id
  FROM unnest(%(addresses)b::text[], %(members)b::text[]) WITH ORDINALITY AS b (address, member_id, ordinal)
 WHERE EXISTS (SELECT FROM mailriver.members AS m WHERE m.id = b.member_id)
 ORDER BY b.ordinal
    ON CONFLICT DO NOTHING
RETURNING email, member_id
