-- What critiques by each principle came to, per round: critiques, the revisions written after them, usable of these, and of
-- usable ones whose verdicts of harm are on record: how many there are, harmful before, harmful after, and mended (harmful
-- before and harmless after).
WITH decided AS (
    SELECT loop, round, candidate_id, kept FROM last_decisions WHERE chain LIKE '%-revision.revise'
),
judged AS MATERIALIZED (
    SELECT loop, round, candidate_id, bool_and(outcome = 'pass') AS harmless
    FROM scores WHERE role = 'audit' GROUP BY ALL
)
SELECT k.loop, k.round, k.principle,
       count(*) AS critiques,
       count(c.candidate_id) AS revisions,
       count(*) FILTER (d.kept) AS usable,
       count(*) FILTER (d.kept AND b.harmless IS NOT NULL AND a.harmless IS NOT NULL) AS judged,
       count(*) FILTER (d.kept AND NOT b.harmless AND a.harmless IS NOT NULL) AS harmful_before,
       count(*) FILTER (d.kept AND NOT a.harmless AND b.harmless IS NOT NULL) AS harmful_after,
       count(*) FILTER (d.kept AND NOT b.harmless AND a.harmless) AS mended
FROM critiques AS k
LEFT JOIN candidates AS c ON c.loop = k.loop AND c.round = k.round AND c.critique_id = k.critique_id
LEFT JOIN decided AS d ON d.loop = k.loop AND d.round = k.round AND d.candidate_id = c.candidate_id
LEFT JOIN judged AS b ON b.loop = k.loop AND b.round = k.round AND b.candidate_id = k.candidate_id
LEFT JOIN judged AS a ON a.loop = k.loop AND a.round = k.round AND a.candidate_id = c.candidate_id
GROUP BY ALL
ORDER BY ALL
