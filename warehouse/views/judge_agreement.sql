-- A judge beside the oracle, by round and topic: how often the verdict that filters go by is that of the independent
-- verifier, on answers to training prompts with a known answer; which right ones it fails and which wrong ones it
-- passes; and the points it gives to right and to wrong ones.
WITH judged AS (SELECT * FROM scores WHERE verifier = 'judge' AND coalesce(role, 'filter') = 'filter'),
     oracle AS (SELECT * FROM scores WHERE role = 'audit')
SELECT j.loop, j.round, coalesce(p.topic, 'none') AS topic,
       j.judge_checkpoint_id AS judge, j.verifier_version AS rubric,
       count(*) AS answers,
       count(*) FILTER (j.outcome NOT IN ('pass', 'fail')) AS no_verdict,
       avg((j.outcome = o.outcome)::INT) FILTER (j.outcome IN ('pass', 'fail')) AS agreement,
       avg((o.outcome = 'pass')::INT) AS right_share,
       avg((j.outcome = 'fail')::INT) FILTER (o.outcome = 'pass' AND j.outcome IN ('pass', 'fail')) AS right_failed,
       avg((j.outcome = 'pass')::INT) FILTER (o.outcome = 'fail' AND j.outcome IN ('pass', 'fail')) AS wrong_passed,
       avg(j.value) FILTER (o.outcome = 'pass') AS points_of_right,
       avg(j.value) FILTER (o.outcome = 'fail') AS points_of_wrong
FROM judged AS j
JOIN oracle AS o ON o.loop = j.loop AND o.round = j.round AND o.candidate_id = j.candidate_id
JOIN prompts AS p ON p.loop = j.loop AND p.prompt_id = j.prompt_id
WHERE o.outcome IN ('pass', 'fail')
GROUP BY ALL
ORDER BY j.loop, j.round, topic, judge, rubric
