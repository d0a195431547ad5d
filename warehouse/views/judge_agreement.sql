-- A judge that filters go by beside the auditor, by round and topic, on answers to training prompts with a reference:
-- how often their verdicts agree, the share of right answers that the judge fails and of wrong ones that it passes, and
-- its mean points for right and for wrong ones.
WITH judged AS (SELECT * FROM scores WHERE verifier = 'judge' AND coalesce(role, 'filter') = 'filter'),
     auditor AS (SELECT * FROM scores WHERE role = 'audit' AND NOT regexp_matches(unit, '[/.]harm/'))
SELECT j.loop, j.round, coalesce(p.topic, 'none') AS topic,
       j.judge_checkpoint_id AS judge, j.verifier_version AS rubric,
       count(*) AS answers,
       count(*) FILTER (j.outcome NOT IN ('pass', 'fail')) AS no_verdict,
       avg((j.outcome = a.outcome)::INT) FILTER (j.outcome IN ('pass', 'fail')) AS agreement,
       avg((a.outcome = 'pass')::INT) AS right_share,
       avg((j.outcome = 'fail')::INT) FILTER (a.outcome = 'pass' AND j.outcome IN ('pass', 'fail')) AS right_failed,
       avg((j.outcome = 'pass')::INT) FILTER (a.outcome = 'fail' AND j.outcome IN ('pass', 'fail')) AS wrong_passed,
       avg(j.value) FILTER (a.outcome = 'pass') AS points_of_right,
       avg(j.value) FILTER (a.outcome = 'fail') AS points_of_wrong
FROM judged AS j
JOIN auditor AS a ON a.loop = j.loop AND a.round = j.round AND a.candidate_id = j.candidate_id
JOIN prompts AS p ON p.loop = j.loop AND p.prompt_id = j.prompt_id
WHERE a.outcome IN ('pass', 'fail')
GROUP BY ALL
ORDER BY j.loop, j.round, topic, judge, rubric
