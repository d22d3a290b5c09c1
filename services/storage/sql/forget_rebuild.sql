DELETE FROM mailriver.rebuilds WHERE topic = %(topic)s AND ended_at IS NULL
