-- Proxy beside truth, per round and split: on the audit sample, what the verifier that filters go by says
-- against the independent one that no filter sees: agreement, pass rates, false passes and false fails.
WITH proxy AS (SELECT * FROM scores WHERE coalesce(role, 'filter') = 'filter'),
     truth AS (SELECT * FROM scores WHERE role = 'audit')
SELECT truth.loop, truth.round, c.split,
       proxy.verifier || ' ' || proxy.verifier_version AS verifier,
       truth.verifier || ' ' || truth.verifier_version AS audited_by,
       count(*) AS audited,
       count(*) FILTER (truth.outcome NOT IN ('pass', 'fail')) AS undecided,
       avg((proxy.outcome = 'pass')::INT) FILTER (truth.outcome IN ('pass', 'fail')) AS pass_rate,
       avg((truth.outcome = 'pass')::INT) FILTER (truth.outcome IN ('pass', 'fail')) AS true_pass_rate,
       avg(((proxy.outcome = 'pass') = (truth.outcome = 'pass'))::INT)
           FILTER (truth.outcome IN ('pass', 'fail')) AS agreement,
       count(*) FILTER (proxy.outcome = 'pass' AND truth.outcome = 'fail') AS false_passes,
       count(*) FILTER (proxy.outcome <> 'pass' AND truth.outcome = 'pass') AS false_fails
FROM truth
JOIN proxy ON proxy.loop = truth.loop AND proxy.round = truth.round AND proxy.candidate_id = truth.candidate_id
JOIN candidates AS c ON c.loop = truth.loop AND c.round = truth.round AND c.candidate_id = truth.candidate_id
GROUP BY ALL
ORDER BY ALL
