UPDATE mailriver.rebuilds SET ended_at = clock_timestamp() WHERE id = %(id)s
