INSERT INTO mailriver.audits (began_at, ended_at, rows, drifted, repaired)
VALUES (%(began_at)s, %(ended_at)s, %(rows)s, %(drifted)s, %(repaired)s)
