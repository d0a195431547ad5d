-- Verdicts per round, split, role and verifier: every outcome is counted, a broken verifier never as a fail.
SELECT s.loop, s.round, c.split, coalesce(s.role, 'filter') AS role, s.verifier, s.verifier_version, s.outcome, count(*) AS verdicts
FROM scores AS s
JOIN candidates AS c USING (loop, round, candidate_id)
GROUP BY ALL
ORDER BY ALL
