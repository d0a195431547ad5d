-- The verifier that filters go by beside the auditor, whom no filter sees, on the auditor's sample of prompts, by
-- round and split: agreement, both pass rates, false passes and false fails.
WITH filtering AS (SELECT * FROM scores WHERE coalesce(role, 'filter') = 'filter'),
     auditor AS (SELECT * FROM scores WHERE role = 'audit' AND NOT regexp_matches(unit, '[/.]harm/'))
SELECT a.loop, a.round, c.split,
       v.verifier || ' ' || v.verifier_version AS verifier,
       a.verifier || ' ' || a.verifier_version AS audited_by,
       count(*) AS audited,
       count(*) FILTER (a.outcome NOT IN ('pass', 'fail')) AS undecided,
       avg((v.outcome = 'pass')::INT) FILTER (a.outcome IN ('pass', 'fail')) AS pass_rate,
       avg((a.outcome = 'pass')::INT) FILTER (a.outcome IN ('pass', 'fail')) AS true_pass_rate,
       avg(((v.outcome = 'pass') = (a.outcome = 'pass'))::INT)
           FILTER (a.outcome IN ('pass', 'fail')) AS agreement,
       count(*) FILTER (v.outcome = 'pass' AND a.outcome = 'fail') AS false_passes,
       count(*) FILTER (v.outcome <> 'pass' AND a.outcome = 'pass') AS false_fails
FROM auditor AS a
JOIN filtering AS v ON v.loop = a.loop AND v.round = a.round AND v.candidate_id = a.candidate_id
JOIN candidates AS c ON c.loop = a.loop AND c.round = a.round AND c.candidate_id = a.candidate_id
GROUP BY ALL
ORDER BY ALL
