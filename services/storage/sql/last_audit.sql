SELECT extract(epoch FROM ended_at), rows, drifted, repaired FROM mailriver.audits ORDER BY id DESC LIMIT 1
